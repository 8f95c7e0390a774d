#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/pipeline.h"
#include "reprise/profile.h"

#pragma GCC visibility push(default)

/// Measures a model and searches for the schedule that reuses it best.
namespace reprise::tune {

/// The runs of a calibration.
struct CalibrateOptions {
    GenerateOptions generate = {};              ///< all but prompt and seed: steps, size, scheduler, guidance
    std::vector<std::string> prompts = {};      ///< none: the first four of `default_prompts`
    std::vector<Image> images = {};             ///< for image-to-video models; none: that of `generate`
    std::vector<std::uint64_t> seeds = {0, 1};  ///< each prompt or picture runs with each seed
    /// The kinds of module that are measured. Blocks are always measured.
    std::vector<ModuleKind> kinds = {ModuleKind::block};
    /// Called before each run with its number, from 0, and the number of runs.
    std::function<void(std::size_t run, std::size_t runs)> progress = {};
};

/// Runs the pipeline without reuse and measures what changes from step to step. The pipeline's preparation is
/// the same before and after. Error (usage) for options that cannot run; Error (cancelled) when a callback of
/// the options stops it.
cachify::Profile calibrate(Pipeline& pipe, const CalibrateOptions& options);

/// Generic prompts of everyday things, for calls without prompts.
const std::vector<std::string>& default_prompts();

/// The quality that a tuned configuration has to reach.
struct Quality {
    double ssim = 0;  ///< least SSIM, as a mean over the tuning pairs; 0: not required
    double psnr = 0;  ///< least PSNR in dB, likewise
    bool asked() const { return ssim > 0 || psnr > 0; }
};

struct TuneOptions {
    GenerateOptions generate = {};          ///< all but prompt and seed: steps, size, scheduler, guidance
    std::vector<std::string> prompts = {};  ///< none: those of `default_prompts`
    std::vector<Image> images = {};         ///< for image-to-video models; none: that of `generate`
    std::size_t pairs = 6;                  ///< pairs of prompt and seed to tune on; as many are held out
    std::vector<double> speedups = {2};     ///< of the denoiser's steps; one configuration for each
    Quality quality = {};                   ///< if required: one configuration, the fastest that reaches it
    std::uint64_t seed = 0;                 ///< of the search; the prompts' seeds count up from it
    std::size_t trials = 200;               ///< schedules that are run for each speedup
    double minutes = 0;                     ///< no more schedules are tried after these; 0: no limit
    std::filesystem::path state = {};       ///< a file: measurements are read from it and written to it
    /// Called with one line about what it does. If it returns false, the search stops with an Error of kind
    /// `cancelled`.
    std::function<bool(std::string_view what)> progress = {};
};

struct Tuned {
    double speedup = 0;  ///< the speedup that was asked for, or that reaches the quality
    cachify::Config config;
    /// Figures: asked, predicted and measured speedup; the distance of final latents (relative, mean over
    /// pairs) on the tuning pairs and on the held-out pairs; SSIM and PSNR of pictures on the held-out pairs.
    /// Notes: the schedule in words.
    cachify::Evidence evidence;
};

/// Finds the schedules that keep most of the picture at a given speed (docs/tuning.md). The same state and
/// seed give the same schedules. The pipeline's preparation is the same before and after. Error (usage) for
/// options that cannot run and for a goal that cannot be reached.
std::vector<Tuned> tune(Pipeline& pipe, const TuneOptions& options);

}  // namespace reprise::tune

#pragma GCC visibility pop
