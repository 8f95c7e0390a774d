#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "schedulers/scheduler.h"

namespace reprise::pipelines {

/// Evaluations of a sampler: [first, end).
struct EvaluationRange {
    std::size_t first = 0;
    std::size_t end = 0;

    std::size_t size() const { return end - first; }
    friend bool operator==(const EvaluationRange&, const EvaluationRange&) = default;
};

/// The evaluations of a call that one of a pipeline's denoisers makes.
struct Stage {
    std::size_t denoiser = 0;  ///< which of the pipeline's
    EvaluationRange range;     ///< the sampler's

    friend bool operator==(const Stage&, const Stage&) = default;
};

/// Which part of the way from noise to picture a call makes, as diffusers' denoising_start and denoising_end:
/// shares of the noise levels that a model was trained for, 0 is noise alone.
struct DenoisingPart {
    std::optional<double> start = {}, end = {};
};

/// The evaluations of that part. It starts with the step of the first evaluation whose timestep is below the
/// start, and ends with the last whose timestep is at least the end's. Empty where there are none.
EvaluationRange range_of(const std::vector<Evaluation>& evaluations, const DenoisingPart& part,
                         int num_train_timesteps);

/// What runs in a range. Denoiser d runs at timesteps of at least `down_to[d]` that none before it has, the
/// last at all others. A denoiser that has no evaluations there has no stage.
std::vector<Stage> stages_of(const std::vector<Evaluation>& evaluations, EvaluationRange range,
                             const std::vector<double>& down_to);

/// The evaluations of a range as a denoiser counts them, which knows of no others: its steps begin with 0.
std::vector<Evaluation> own_evaluations(const std::vector<Evaluation>& evaluations, EvaluationRange range);

}  // namespace reprise::pipelines
