#pragma once

#include <optional>
#include <vector>

#include "schedulers/noise_schedule.h"
#include "schedulers/scheduler.h"

namespace reprise {

enum class SigmaSpacing { as_timesteps, karras, exponential };

/// Ends of the Karras and exponential spacings, else the schedule's own. They are keys of
/// EulerDiscreteScheduler; diffusers' other schedulers that have these spacings read them too where a
/// configuration has them.
struct SigmaBounds {
    std::optional<double> least, most;
};

/// How the Euler, Euler ancestral and Heun schedulers choose their noise levels.
struct SigmaSettings {
    TimestepSpacing timestep_spacing = TimestepSpacing::linspace;
    int steps_offset = 0;
    SigmaSpacing sigma_spacing = SigmaSpacing::as_timesteps;
    SigmaBounds bounds;
    bool log_linear = false;            ///< interpolate between the schedule's ends in log sigma
    bool end_at_sigma_min = false;      ///< the last level is the schedule's least, not 0
    bool continuous_timesteps = false;  ///< timesteps are log(sigma) / 4, as EDM's
};

struct SigmaTable {
    std::vector<float> timesteps;  ///< one per step
    std::vector<float> sigmas;     ///< at least one more: where each step begins, then where the last ends
    float init_noise_sigma;
};

/// Which of use_karras_sigmas and use_exponential_sigmas is set; refuses both, use_beta_sigmas, and null.
SigmaSpacing read_sigma_spacing(const SchedulerConfig& config);
/// sigma_min and sigma_max: numbers above 0, or nothing.
SigmaBounds read_sigma_bounds(const SchedulerConfig& config);
/// `count` descending levels of the Karras or exponential spacing.
std::vector<double> spaced_sigmas(SigmaSpacing spacing, const SigmaBounds& bounds, double schedule_least,
                                  double schedule_most, int count);

SigmaTable make_sigma_table(const SigmaSettings& settings, const NoiseSchedule& schedule, int count);

/// The clean sample that a model's output means at noise level sigma, in k-diffusion's scaling. One value.
float predict_original(PredictionType type, float sigma, float sample, float model_output);
/// sample / sqrt(sigma^2 + 1).
Tensor scale_by_sigma(const Tensor& sample, float sigma);
/// One evaluation per step.
std::vector<Evaluation> one_per_step(const std::vector<float>& timesteps);

}  // namespace reprise
