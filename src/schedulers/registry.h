#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "schedulers/config.h"
#include "schedulers/scheduler.h"

namespace reprise {

/// A scheduler that can be asked for.
struct SchedulerEntry {
    std::string_view name;        ///< on the command line: "dpm++2m-karras"
    std::string_view class_name;  ///< diffusers' class
    std::string_view overrides;   ///< a JSON object laid over the configuration
    std::string_view summary;     ///< half a line for --help
    std::unique_ptr<Scheduler> (*make)(const SchedulerConfig& config);
};

/// All of them. Several may share a class; the first of a class has no overrides.
std::span<const SchedulerEntry> schedulers();

/// Warns of keys that no scheduler class of diffusers has: they have no effect. Once for each file, when it
/// is opened.
void warn_of_unknown_keys(const nlohmann::json& config, std::string_view source);

/// The scheduler that a scheduler_config.json describes, by its _class_name. `source` names the file in
/// errors (usage).
std::unique_ptr<Scheduler> make_scheduler(const nlohmann::json& config, std::string_view source);

/// The scheduler `name` (a command-line name or a class of diffusers) with the settings of a configuration
/// that may be another class's: as diffusers' from_config, it takes the keys that it knows, and the others
/// have its defaults.
std::unique_ptr<Scheduler> make_scheduler(std::string_view name, const nlohmann::json& config,
                                          std::string_view source);

}  // namespace reprise
