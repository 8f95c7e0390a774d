#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "reprise/pipeline.h"
#include "reprise/profile.h"

/// Finding out how a model is best reused.
namespace reprise::tune {

/// What a calibration runs.
struct CalibrateOptions {
    GenerateOptions generate = {};              ///< all but prompt and seed: steps, size, scheduler, guidance
    std::vector<std::string> prompts = {};      ///< none: the generic ones of `default_prompts`
    std::vector<std::uint64_t> seeds = {0, 1};  ///< each prompt is drawn with each
    /// The kinds of module that are measured; blocks always are.
    std::vector<ModuleKind> kinds = {ModuleKind::block};
    /// Told before each run: which, from 0, of how many.
    std::function<void(std::size_t run, std::size_t runs)> progress = {};
};

/// Runs the pipeline without reuse and measures what changes from step to step. The pipeline's preparation is
/// as before afterwards. Error (usage) for what cannot be run; `cancelled` when a callback of the options
/// stops it.
cachify::Profile calibrate(Pipeline& pipe, const CalibrateOptions& options);

/// Four everyday things, for where nobody says which.
const std::vector<std::string>& default_prompts();

}  // namespace reprise::tune
