#include "pipelines/sampling_loop.h"

namespace reprise::pipelines {

Tensor sample(Sampler& sampler, Tensor latents, Generator* generator, const SamplingHooks& hooks) {
    const auto& evaluations = sampler.evaluations();
    std::size_t first = 0;
    for (std::size_t e = 0; e < evaluations.size(); ++e) {
        const int evaluation = static_cast<int>(e);
        const Tensor prediction = hooks.predict(e, sampler.scale_model_input(latents, evaluation));
        latents = sampler.step(prediction, evaluation, latents, generator);
        if (hooks.after_evaluation) hooks.after_evaluation(e, latents);
        if (e + 1 < evaluations.size() && evaluations[e + 1].step == evaluations[e].step) continue;
        if (hooks.after_step && !hooks.after_step({evaluations[e].step, first, e + 1}, latents)) break;
        first = e + 1;
    }
    return latents;
}

Tensor first_latents(const Sampler& sampler, const Tensor& noise) {
    Tensor latents = noise.clone();
    for (float& value : latents.span<float>()) value *= sampler.init_noise_sigma();
    return latents;
}

}  // namespace reprise::pipelines
