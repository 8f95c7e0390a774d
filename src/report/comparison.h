#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/spread.h"
#include "reprise/image.h"
#include "reprise/pipeline.h"
#include "reprise/tensor.h"

namespace reprise::report {

/// What every way makes a picture (or a video) of: a pair of prompt and seed.
struct Pair {
    std::string prompt;
    std::uint64_t seed = 0;
    int number = 0;  ///< of several pictures for one prompt and seed, from 0
};

/// What one way made of a pair.
struct Made {
    std::vector<Image> frames;  ///< one, or those of a video
    Tensor latents;             ///< (frames, channels, height, width)
};

/// What times are taken by.
enum class Clock {
    wall,
    cpu,  ///< CPU time of the process: says more where others use the CPUs
};

/// One measured call, which makes the pictures of one prompt and seed.
struct Turn {
    RunReport report;
    /// In the denoiser, of the full run beside it; of full runs their own.
    double full_seconds = 0, full_cpu_seconds = 0;

    /// In the denoiser.
    double seconds(Clock clock) const {
        return clock == Clock::wall ? report.denoise_seconds : report.denoise_cpu_seconds;
    }
    double full(Clock clock) const { return clock == Clock::wall ? full_seconds : full_cpu_seconds; }
};

/// How far results are from the full ones, pair by pair, each the mean over a video's frames.
struct Distances {
    std::vector<double> psnr;          ///< dB; infinity when equal
    std::vector<double> ssim;          ///< NaN for pictures too small for it
    std::vector<double> latent_error;  ///< relative, Euclidean

    /// The mean, in which equal pictures count as if one value were off by one, unless all are equal.
    Mean mean_psnr() const;
    double limited_psnr(std::size_t pair) const;
    double most_psnr = 0;  ///< with one value off by one, for the size of the pictures
};

/// A step of a way, over its turns.
struct WayStep {
    double seconds = 0;  ///< the median, a picture
    double flops_share =
        1;                ///< computed, of a full step's work; the mean, for it may be decided while running
    bool reused = false;  ///< something, in some turn
};

/// One way of making the same pictures.
struct Way {
    enum class Kind { full, cached, fewer } kind = Kind::full;
    std::string name;   ///< "full", "deepcache:interval=3", "12 steps"
    std::string cache;  ///< of cached ways: the configuration, for people
    int num_steps = 0;
    int calls_pictures = 1;   ///< pictures that each call makes
    std::vector<Turn> turns;  ///< measured ones
    std::vector<Made> made;   ///< by pair
    Distances distances;      ///< from the full way
    /// By step: the modules that the plan reuses there, for people. Empty: not known.
    std::vector<std::string> reused = {};
    std::string summary = {};          ///< what was reused and saved
    std::optional<int> equal_steps{};  ///< of cached ways: the fewer steps of about equal time
    std::optional<double> score{};     ///< of a script's own
    Clock clock = Clock::wall;         ///< of what follows, but for `end_to_end` and `steps`

    Spread denoise() const;     ///< seconds in the denoiser's loop, a picture
    Spread end_to_end() const;  ///< seconds of text, denoising and decoding, compiling left out, a picture
    /// The full run's time in the denoiser over this one's, each by the full run beside it. 1 without time.
    Spread speedup() const;
    /// Its time over the full run's, and the standard error of that.
    Mean relative_time() const;
    std::vector<WayStep> steps() const;
    /// By pair: the steps at which it was decided, while running, to reuse. Empty where that is no question.
    std::vector<std::vector<int>> decisions() const;
};

/// Full against ways of reuse against fewer steps.
struct Comparison {
    std::string title;
    std::vector<Pair> pairs;
    std::vector<std::pair<std::string, std::string>> settings;
    Way full;
    std::vector<Way> cached;
    std::vector<Way> fewer;  ///< ascending
    std::string score_title = {};

    std::vector<const Way*> ways() const;
    /// Full, cached, and of fewer steps those that stand beside a cached one.
    std::vector<const Way*> shown() const;
    /// Computes distances.
    void measure();
    /// Takes times by the clock, or by CPU time where the process waited for CPUs that others used.
    void choose_clock();
    Clock clock() const { return full.clock; }
    /// The share of the time in which its threads could have run that they waited for a CPU.
    double waited_share() const;

    /// What fewer steps give in a cached way's time: between the two measured step counts around it. Nothing
    /// outside of what was measured.
    struct AtEqualTime {
        double psnr = 0, ssim = 0, latent_error = 0;
        /// Of the way over them, pair by pair. The error is that of the mean over pairs and that of the
        /// clock: a time measured a little wrong is beside a little fewer or more steps.
        Mean psnr_gain;
    };
    std::optional<AtEqualTime> fewer_at_time_of(const Way& way) const;
};

/// A name for files: "deepcache-interval-3". Different ways have different ones.
std::map<const Way*, std::string> file_names(const Comparison& comparison);

/// What times are taken by, and why, for people.
std::string clock_text(const Comparison& comparison);

/// A row for each of the first pairs: full, cached, fewer steps. Of videos the middle frame. Pictures are
/// shrunk where a sheet of them would be larger than viewers open with ease, and rows left out where that is
/// not enough.
Image contact_sheet(const Comparison& comparison, std::size_t most_pairs);
std::string to_text(const Comparison& comparison);
/// A line for each way, numbers without units, which are in the titles.
std::string to_csv(const Comparison& comparison);
/// Without the pictures.
nlohmann::ordered_json to_json(const Comparison& comparison);

/// For people: "33.5 dB", "equal"; "0.9512", "" for none.
std::string decibels(double psnr);
std::string similarity(double ssim);

/// A table of ways for people: titles, then a row for each way in the order of `ways()`.
struct WayTable {
    std::vector<std::string> titles;
    std::vector<std::vector<std::string>> rows;
};
WayTable way_table(const Comparison& comparison);

}  // namespace reprise::report
