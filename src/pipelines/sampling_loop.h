#pragma once

#include <cstddef>
#include <functional>

#include "core/generator.h"
#include "pipelines/stages.h"
#include "reprise/tensor.h"
#include "schedulers/scheduler.h"

namespace reprise::pipelines {

/// What a step of the sampling loop is.
struct SampledStep {
    int step = 0;           ///< the sampler's, from 0
    std::size_t first = 0;  ///< its evaluations that are made: [first, end)
    std::size_t end = 0;
};

/// What runs in the sampling loop.
struct SamplingHooks {
    /// The guided prediction of an evaluation; `input` is the sample as the denoiser takes it.
    std::function<Tensor(std::size_t evaluation, const Tensor& input)> predict;
    /// Called before the first evaluation of a step. It may assign other latents.
    std::function<void(const SampledStep& step, Tensor& latents)> before_step = {};
    /// Called with what the sampler made of a prediction.
    std::function<void(std::size_t evaluation, const Tensor& latents)> after_evaluation = {};
    /// Called after the last evaluation of a step. It may assign other latents; false ends the loop.
    std::function<bool(const SampledStep& step, Tensor& latents)> after_step = {};
};

/// The one loop over a sampler's evaluations: for generation, tuning and comparison. It makes those of
/// `range`, which begins at the sampler's first or a later one and ends with its last or an earlier one. It
/// begins with `latents` at the noise level of the first of them, and yields the latents after the last that
/// was made. Hooks get the sampler's numbers of evaluations and steps. `generator` is needed where the
/// scheduler is stochastic.
Tensor sample(Sampler& sampler, Tensor latents, Generator* generator, const SamplingHooks& hooks,
              EvaluationRange range);

/// Standard normal noise as the sampler's first latents: a copy, scaled.
Tensor first_latents(const Sampler& sampler, const Tensor& noise);

}  // namespace reprise::pipelines
