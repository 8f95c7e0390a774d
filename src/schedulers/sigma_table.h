#pragma once

#include <optional>
#include <vector>

#include "schedulers/noise_schedule.h"
#include "schedulers/scheduler.h"

namespace reprise {

enum class SigmaSpacing { as_timesteps, karras, exponential };

/// How the Euler, Euler ancestral and Heun schedulers choose their noise levels.
struct SigmaSettings {
    TimestepSpacing timestep_spacing = TimestepSpacing::linspace;
    int steps_offset = 0;
    SigmaSpacing sigma_spacing = SigmaSpacing::as_timesteps;
    std::optional<double> sigma_min;  ///< ends of the Karras and exponential spacings; else the schedule's
    std::optional<double> sigma_max;
    bool log_linear = false;            ///< interpolate between the schedule's ends in log sigma
    bool end_at_sigma_min = false;      ///< the last level is the schedule's least, not 0
    bool continuous_timesteps = false;  ///< timesteps are log(sigma) / 4, as EDM's
};

struct SigmaTable {
    std::vector<float> timesteps;  ///< one per step
    std::vector<float> sigmas;     ///< at least one more: where each step begins, then where the last ends
    float init_noise_sigma;
};

/// Which of use_karras_sigmas and use_exponential_sigmas is set; refuses both and use_beta_sigmas.
SigmaSpacing read_sigma_spacing(const SchedulerConfig& config);
/// A number above 0, or nothing.
std::optional<double> read_sigma_bound(const SchedulerConfig& config, const char* key);

SigmaTable make_sigma_table(const SigmaSettings& settings, const NoiseSchedule& schedule, int count);

/// The clean sample that a model's output means at noise level sigma, in k-diffusion's scaling. One value.
float predict_original(PredictionType type, float sigma, float sample, float model_output);
/// sample / sqrt(sigma^2 + 1).
Tensor scale_by_sigma(const Tensor& sample, float sigma);
/// One evaluation per step.
std::vector<Evaluation> one_per_step(const std::vector<float>& timesteps);

}  // namespace reprise
