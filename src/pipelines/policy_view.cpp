#include "pipelines/policy_view.h"

#include "cachify/remembered.h"
#include "reprise/error.h"

namespace reprise::pipelines {

PolicyView::PolicyView(const DiffusionPipeline& pipe, const GenerateOptions& options)
    : context_{pipe.denoiser().class_name(), pipe.structure(), [&pipe] { return pipe.identity(); },
               pipe.source()->folder()} {
    context_.on_message = options.on_message;
    const GenerateOptions asked = pipe.with_defaults(options);
    cachify::MeasuredRun& run = context_.run;
    run.num_inference_steps = *asked.num_inference_steps;
    run.guidance_scale = *asked.guidance_scale;
    run.precision = name_of(pipe.engine().options.precision);
    try {  // the folder's own may be unknown or not supported; the call may name another
        const auto shape = pipe.shape(asked);
        run.width = static_cast<int>(shape.width);
        run.height = static_cast<int>(shape.height);
        const auto scheduler = pipe.scheduler(asked);
        run.scheduler = scheduler->name();
        context_.adds_noise = scheduler->stochastic();
    } catch (const Error&) {  // then policies do without what it would have said
        context_.run.scheduler.clear();
    }
}

Ways ways_of(const DiffusionPipeline& pipe, const GenerateOptions& options) {
    const auto prepared = options.reuse ? nullptr : pipe.default_reuse();
    if (!options.reuse && !prepared) return {};
    const Reuse& reuse = options.reuse ? *options.reuse : *prepared;
    Ways ways;
    ways.count = reuse.count;
    ways.in_full = reuse.in_full;
    if (reuse.is_off()) return ways;
    if (const auto* config = std::get_if<cachify::Config>(&reuse.what)) {
        ways.config = cachify::remembered(*config);
        return ways;
    }
    const auto& policy = std::get<std::string>(reuse.what);
    auto config = cachify::make_policy(PolicyView(pipe, options).context(), policy);
    // "auto" that chose to reuse nothing has said so.
    if (!config.empty()) ways.config = std::move(config);
    return ways;
}

}  // namespace reprise::pipelines
