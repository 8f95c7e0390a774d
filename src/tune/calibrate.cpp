#include <algorithm>

#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"
#include "reprise/tune.h"
#include "tune/changes.h"

namespace reprise::tune {

const std::vector<std::string>& default_prompts() {
    static const std::vector<std::string> prompts = {
        "red apple",         "a dog",     "a house by the sea", "a smiling face", "a yellow flower",
        "a car on a street", "blue book", "a cat on a chair",   "an old bicycle", "a slice of pizza",
        "crescent moon",     "a sailboat"};
    return prompts;
}

cachify::Profile calibrate(Pipeline& pipe, const CalibrateOptions& options) {
    auto& implementation = pipe.implementation();
    const auto& denoiser = implementation.denoiser();
    GenerateOptions generate = implementation.with_defaults(options.generate);
    generate.decode = false;
    if (generate.num_images_per_prompt != 1)
        usage_error("{} images per prompt; a calibration has one for each seed",
                    generate.num_images_per_prompt);
    const bool from_pictures = denoiser.model().traits().frames > 0;
    std::vector<std::string> prompts = options.prompts;
    if (from_pictures)
        prompts.assign(std::max<std::size_t>(1, options.images.size()), "");
    else if (prompts.empty())
        prompts.assign(default_prompts().begin(), default_prompts().begin() + 4);
    if (options.seeds.empty()) usage_error("no seeds to calibrate with; give at least one");

    Changes changes;
    const pipelines::Watch watch{
        [&](const graph::Module& module) {
            const auto& kinds = options.kinds;
            return module.part.empty() && (module.kind == ModuleKind::block ||
                                           std::find(kinds.begin(), kinds.end(), module.kind) != kinds.end());
        },
        [&](const pipelines::Sight& sight) { changes.see(sight); }};
    if (generate.guidance_mode == GuidanceMode::automatic) generate.guidance_mode = GuidanceMode::split;
    std::string scheduler, precision;
    std::size_t run = 0;
    for (std::size_t subject = 0; subject < prompts.size(); ++subject)
        for (const auto seed : options.seeds) {
            if (options.progress) options.progress(run++, prompts.size() * options.seeds.size());
            generate.prompt = prompts[subject];
            if (!options.images.empty()) generate.image = options.images[subject % options.images.size()];
            generate.seed = seed;
            changes.begin_run();
            const RunReport report = implementation(generate, &watch).report;
            changes.end_run();
            scheduler = report.scheduler;
            precision = report.precision;
        }
    cachify::Profile profile = changes.profile();
    profile.model = implementation.identity();
    const auto ahead = implementation.outlook(generate);
    profile.run = {scheduler,
                   ahead.num_steps(),
                   static_cast<int>(ahead.shape.width),
                   static_cast<int>(ahead.shape.height),
                   *generate.guidance_scale,
                   precision,
                   from_pictures ? std::vector<std::string>{} : prompts,
                   options.seeds};
    return profile;
}

}  // namespace reprise::tune
