#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "reprise/image.h"
#include "reprise/pipeline.h"
#include "reprise/tensor.h"

namespace reprise::report {

/// Smallest, middle and largest of some measurements.
struct Spread {
    double median = 0, low = 0, high = 0;
};
/// Zeros for none.
Spread spread_of(std::vector<double> values);

/// How far a result is from the full one, the mean over its pictures.
struct Distance {
    double psnr = 0;          ///< dB; infinity when equal
    double ssim = 0;          ///< NaN for pictures too small for it
    double latent_error = 0;  ///< relative, Euclidean
};

/// One way of making the same pictures.
struct Way {
    int num_steps = 0;
    std::vector<RunReport> runs;  ///< measured ones
    std::vector<Image> images;    ///< of the last run
    Tensor latents;               ///< likewise
    Distance distance;            ///< from the full way

    Spread denoise() const;     ///< seconds in the denoiser's loop
    Spread end_to_end() const;  ///< seconds of text, denoising and decoding, compiling left out
};

/// Full against reused against fewer steps in about the time of the reused run.
struct Comparison {
    std::string title;
    std::vector<std::string> captions;  ///< of the pictures
    std::vector<std::pair<std::string, std::string>> settings;
    std::string summary;  ///< what was reused and saved
    Way full, reused, fewer;

    /// Computes the distances of `reused` and `fewer`.
    void measure();
};

/// A row for each picture: full, reused, fewer steps.
Image contact_sheet(const Comparison& comparison);
std::string to_text(const Comparison& comparison);
/// Without the pictures.
nlohmann::ordered_json to_json(const Comparison& comparison);
/// A page that carries its pictures.
std::string to_html(const Comparison& comparison);

}  // namespace reprise::report
