#pragma once

#include <vector>

#include "schedulers/noise_schedule.h"
#include "schedulers/scheduler.h"

namespace reprise {

struct AlphaDefaults {
    bool set_alpha_to_one;
};

/// What DDIM and PNDM share: whole timesteps, and the share of signal (alpha bar) at each.
class AlphaTable {
  public:
    /// Reads the noise schedule, timestep_spacing, steps_offset and set_alpha_to_one.
    AlphaTable(const SchedulerConfig& config, const NoiseScheduleTraits& traits, AlphaDefaults defaults);

    int num_train_timesteps() const { return schedule_.num_train_timesteps(); }
    /// Training timesteps per step, rounded down. Error (usage) when there are fewer than steps.
    int stride(int num_inference_steps) const;
    /// Descending. Error (usage) when there are more steps than training timesteps, or the offset leads past
    /// the last.
    std::vector<int> timesteps(int num_inference_steps) const;
    /// Below timestep 0, the final one. Error (usage) past the last timestep.
    float at(int timestep) const;
    /// sqrt((1 - a) / a) at timesteps from 0.
    std::vector<float> sigmas(const std::vector<int>& timesteps) const;
    std::vector<Evaluation> evaluations(const std::vector<int>& timesteps) const;

  private:
    NoiseSchedule schedule_;
    TimestepSpacing spacing_;
    int steps_offset_;
    float final_;
};

}  // namespace reprise
