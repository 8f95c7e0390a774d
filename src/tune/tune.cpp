#include "reprise/tune.h"

#include "core/fingerprint.h"
#include "options/row.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"
#include "text/unicode.h"
#include "tune/pipeline_subject.h"
#include "tune/tuner.h"

namespace reprise::tune {

namespace {

/// What a state's measurements depend on beside its run: texts, pictures, sampling, and what computes.
std::string fingerprint_of(const TuneOptions& options, const GenerateOptions& base, const LoadOptions& load) {
    Fingerprint all;
    const auto add = [&](const auto& value) { all.add(fmt::format("{}\n", value)); };
    add(text_of(options::write(options::generate_options(), &base, options::kFingerprint)));
    add(text_of(options::write(options::load_options(), &load, options::kFingerprint)));
    const auto add_image = [&](const Image& image) {
        add(image.width());
        all.add(image.pixels().data(), image.pixels().size());
    };
    add_image(base.image);
    for (const Image& image : options.images) add_image(image);
    return all.text();
}

/// Prompts with seeds: those that are tuned on, then those held out.
std::vector<GenerateOptions> make_pairs(const TuneOptions& options, const GenerateOptions& base,
                                        bool from_pictures) {
    const auto& prompts = options.prompts.empty() ? default_prompts() : options.prompts;
    std::vector<GenerateOptions> pairs;
    for (std::size_t i = 0; i < 2 * options.pairs; ++i) {
        GenerateOptions pair = base;
        if (!from_pictures) pair.prompt = valid_utf8(prompts[i % prompts.size()]);
        if (!options.images.empty()) pair.image = options.images[i % options.images.size()];
        pair.seed = options.seed + i;
        pair.decode = false;
        pairs.push_back(std::move(pair));
    }
    return pairs;
}

}  // namespace

std::vector<Tuned> tune(Pipeline& pipe, const TuneOptions& options) {
    if (options.pairs < 1) usage_error("no prompts with seeds to tune on; expected at least 1");
    check_goals(options);
    auto& implementation = pipe.implementation();
    GenerateOptions base = implementation.with_defaults(options.generate);
    if (base.num_images_per_prompt != 1)
        usage_error("{} images per prompt; tuning draws one for each pair", base.num_images_per_prompt);
    base.decode = false;
    base.callback_on_step_end = [&](const StepInfo&) { return !options.progress || options.progress(""); };
    base.on_phase = [&](std::string_view phase) {
        if (options.progress && !options.progress(phase))
            throw Error(ErrorKind::cancelled, "stopped while tuning");
    };
    const bool from_pictures = implementation.denoiser().model().traits().frames > 0;
    PipelineSubject subject(implementation, make_pairs(options, base, from_pictures),
                            fingerprint_of(options, base, implementation.load_options()));
    return tune(subject, options);
}

}  // namespace reprise::tune
