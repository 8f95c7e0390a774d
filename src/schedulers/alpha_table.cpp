#include "schedulers/alpha_table.h"

#include <algorithm>
#include <cmath>

#include "reprise/error.h"

namespace reprise {

AlphaTable::AlphaTable(const SchedulerConfig& config, const NoiseScheduleTraits& traits,
                       AlphaDefaults defaults)
    : schedule_(read_noise_schedule(config, traits)),
      spacing_(read_timestep_spacing(config, "leading")),
      steps_offset_(read_steps_offset(config, schedule_)),
      final_(config.flag("set_alpha_to_one", defaults.set_alpha_to_one) ? 1.0F
                                                                        : schedule_.alphas_cumprod.front()) {}

int AlphaTable::stride(int num_inference_steps) const {
    if (num_inference_steps > num_train_timesteps())
        refuse_step_count(num_inference_steps, num_train_timesteps());
    return num_train_timesteps() / num_inference_steps;
}

std::vector<int> AlphaTable::timesteps(int num_inference_steps) const {
    stride(num_inference_steps);
    std::vector<int> result;
    for (const double t : spaced_timesteps(spacing_, schedule_, steps_offset_, num_inference_steps))
        result.push_back(static_cast<int>(std::nearbyint(t)));
    return result;
}

float AlphaTable::at(int timestep) const {
    if (timestep < 0) return final_;
    if (timestep >= num_train_timesteps())
        usage_error(
            "timestep {} lies past the scheduler's {} (steps_offset {}); take fewer steps or another "
            "timestep_spacing",
            timestep, num_train_timesteps(), steps_offset_);
    return schedule_.alphas_cumprod[static_cast<std::size_t>(timestep)];
}

std::vector<float> AlphaTable::sigmas(const std::vector<int>& timesteps) const {
    std::vector<float> result;
    for (const int timestep : timesteps) {
        const float alpha = at(timestep);
        result.push_back(std::sqrt((1.0F - alpha) / alpha));
    }
    return result;
}

std::vector<Evaluation> AlphaTable::evaluations(const std::vector<int>& timesteps) const {
    std::vector<Evaluation> result;
    for (const int timestep : timesteps)
        result.push_back({static_cast<int>(result.size()), static_cast<float>(timestep)});
    return result;
}

}  // namespace reprise
