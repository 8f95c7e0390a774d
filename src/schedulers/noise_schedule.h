#pragma once

#include <vector>

#include "schedulers/config.h"

namespace reprise {

enum class TimestepSpacing { linspace, leading, trailing };

/// The noise that a model was trained with, one entry per training timestep; f32, rounded where diffusers
/// rounds.
struct NoiseSchedule {
    std::vector<float> alphas_cumprod;  ///< share of signal, descending
    std::vector<float> sigmas;          ///< sqrt((1 - a) / a), ascending

    int num_train_timesteps() const { return static_cast<int>(alphas_cumprod.size()); }
    std::vector<float> log_sigmas() const;
};

/// How diffusers' scheduler classes differ in what they take.
struct NoiseScheduleTraits {
    double beta_start = 0.0001;
    double beta_end = 0.02;
    bool zero_snr = true;           ///< has rescale_betas_zero_snr
    bool sigma_of_zero_snr = true;  ///< and then keeps the last share of signal at 2^-24, not 0
    bool exponential = false;       ///< has beta_schedule "exp"
};

/// Reads num_train_timesteps, beta_start, beta_end, beta_schedule, trained_betas, rescale_betas_zero_snr.
NoiseSchedule read_noise_schedule(const SchedulerConfig& config, const NoiseScheduleTraits& traits);

TimestepSpacing read_timestep_spacing(const SchedulerConfig& config, std::string_view fallback);
/// 0 to num_train_timesteps.
int read_steps_offset(const SchedulerConfig& config, const NoiseSchedule& schedule);

/// Descending timesteps for `count` steps over the training timesteps: at equal distances with both ends
/// (linspace), whole numbers from the offset up (leading) or from the end down (trailing). Error (usage)
/// when leading has fewer timesteps than steps. Where rounding makes diffusers add a timestep -1 to
/// trailing (61 steps of 1000, for one), it is left out.
std::vector<double> spaced_timesteps(TimestepSpacing spacing, const NoiseSchedule& schedule, int steps_offset,
                                     int count);
/// Those of "trailing", counted down from `last_timestep`.
std::vector<double> trailing_timesteps(int num_train_timesteps, int last_timestep, int count);
/// Usage error: so many steps need more training timesteps.
[[noreturn]] void refuse_step_count(int count, int num_train_timesteps);

}  // namespace reprise
