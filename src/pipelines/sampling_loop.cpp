#include "pipelines/sampling_loop.h"

namespace reprise::pipelines {

Tensor sample(Sampler& sampler, Tensor latents, Generator* generator, const SamplingHooks& hooks,
              EvaluationRange range) {
    const auto& evaluations = sampler.evaluations();
    sampler.begin_at(static_cast<int>(range.first));
    for (SampledStep step{0, range.first, range.first}; step.first < range.end; step.first = step.end) {
        step.step = evaluations[step.first].step;
        while (step.end < range.end && evaluations[step.end].step == step.step) ++step.end;
        if (hooks.before_step) hooks.before_step(step, latents);
        for (std::size_t e = step.first; e < step.end; ++e) {
            const int evaluation = static_cast<int>(e);
            const Tensor prediction = hooks.predict(e, sampler.scale_model_input(latents, evaluation));
            latents = sampler.step(prediction, evaluation, latents, generator);
            if (hooks.after_evaluation) hooks.after_evaluation(e, latents);
        }
        if (hooks.after_step && !hooks.after_step(step, latents)) break;
    }
    return latents;
}

Tensor first_latents(const Sampler& sampler, const Tensor& noise) {
    Tensor latents = noise.clone();
    for (float& value : latents.span<float>()) value *= sampler.init_noise_sigma();
    return latents;
}

}  // namespace reprise::pipelines
