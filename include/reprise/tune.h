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

/// Finding out how a model is best reused.
namespace reprise::tune {

/// What a calibration runs.
struct CalibrateOptions {
    GenerateOptions generate = {};              ///< all but prompt and seed: steps, size, scheduler, guidance
    std::vector<std::string> prompts = {};      ///< none: the generic ones of `default_prompts`
    std::vector<Image> images = {};             ///< of models that animate; none: `generate`'s
    std::vector<std::uint64_t> seeds = {0, 1};  ///< each prompt or picture is drawn with each
    /// The kinds of module that are measured; blocks always are.
    std::vector<ModuleKind> kinds = {ModuleKind::block};
    /// Told before each run: which, from 0, of how many.
    std::function<void(std::size_t run, std::size_t runs)> progress = {};
};

/// Runs the pipeline without reuse and measures what changes from step to step. The pipeline's preparation is
/// as before afterwards. Error (usage) for what cannot be run; `cancelled` when a callback of the options
/// stops it.
cachify::Profile calibrate(Pipeline& pipe, const CalibrateOptions& options);

/// Everyday things, for where nobody says which.
const std::vector<std::string>& default_prompts();

/// What a tuned configuration is to reach. The speed is that of the denoiser's steps.
struct Quality {
    double ssim = 0;  ///< at least, as a mean over the tuning pairs; 0: not asked for
    double psnr = 0;  ///< likewise, in dB
    bool asked() const { return ssim > 0 || psnr > 0; }
};

struct TuneOptions {
    GenerateOptions generate = {};          ///< all but prompt and seed: steps, size, scheduler, guidance
    std::vector<std::string> prompts = {};  ///< none: those of `default_prompts`
    std::vector<Image> images = {};         ///< of models that animate; none: `generate`'s
    std::size_t pairs = 6;                  ///< prompts with seeds that it tunes on; as many are held out
    std::vector<double> speedups = {2};     ///< a configuration for each
    Quality quality = {};                   ///< asked for: one configuration, the fastest that reaches it
    std::uint64_t seed = 0;                 ///< of the search; prompts are drawn with seeds from here on
    std::size_t trials = 200;               ///< schedules that are run for each speedup
    double minutes = 0;                     ///< after so many no more are tried; 0: as many as `trials` says
    std::filesystem::path state = {};       ///< what was measured is kept there, and taken from there
    /// Told what it does, in words. Returning false stops it with an Error of kind `cancelled`.
    std::function<bool(std::string_view what)> progress = {};
};

struct Tuned {
    double speedup = 0;  ///< that was asked for, or found to be fast enough
    cachify::Config config;
    /// Figures: asked, predicted and measured speedup; distances (of final latents, relative, means over
    /// pairs) on the tuning pairs and on those held out; of pictures SSIM and PSNR on those held out. Notes:
    /// the schedule in words.
    cachify::Evidence evidence;
};

/// Finds the schedules that keep most of the picture at a speed (docs/tuning.md). The same state and seed
/// give the same schedules. The pipeline's preparation is as before afterwards. Error (usage) for what cannot
/// be run or reached.
std::vector<Tuned> tune(Pipeline& pipe, const TuneOptions& options);

}  // namespace reprise::tune
