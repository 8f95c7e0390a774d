#pragma once

#include <memory>

#include "schedulers/config.h"
#include "schedulers/scheduler.h"

namespace reprise {

/// One per class of diffusers. Each reads the whole configuration and refuses (usage error) what it does
/// not support; the registry lists them.
std::unique_ptr<Scheduler> make_euler(const SchedulerConfig& config);
std::unique_ptr<Scheduler> make_euler_ancestral(const SchedulerConfig& config);
std::unique_ptr<Scheduler> make_heun(const SchedulerConfig& config);
std::unique_ptr<Scheduler> make_ddim(const SchedulerConfig& config);
std::unique_ptr<Scheduler> make_dpm_solver(const SchedulerConfig& config);
std::unique_ptr<Scheduler> make_pndm(const SchedulerConfig& config);
std::unique_ptr<Scheduler> make_flow_match_euler(const SchedulerConfig& config);

}  // namespace reprise
