#include "pipelines/policy_view.h"

#include "reprise/error.h"

namespace reprise::pipelines {

PolicyView::PolicyView(const DiffusionPipeline& pipe, const GenerateOptions& options)
    : graph_(pipe.denoiser().structure(pipe.any_shape())),
      context_{pipe.denoiser().class_name(), graph_, [&pipe] { return pipe.identity(); },
               pipe.folder().path()} {
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
    } catch (const Error&) {
    }
}

}  // namespace reprise::pipelines
