#include "schedulers/registry.h"

#include <array>
#include <string>

#include "reprise/error.h"
#include "schedulers/factories.h"

namespace reprise {

namespace {

constexpr std::string_view kKarras =
    R"({"use_karras_sigmas": true, "use_exponential_sigmas": false, "use_lu_lambdas": false})";
constexpr std::string_view kPlms = R"({"skip_prk_steps": true})";
constexpr std::string_view kSde = R"({"algorithm_type": "sde-dpmsolver++"})";

constexpr std::array kSchedulers{
    SchedulerEntry{"euler", "EulerDiscreteScheduler", "{}", "Euler", make_euler},
    SchedulerEntry{"euler-karras", "EulerDiscreteScheduler", kKarras, "Euler, Karras spacing", make_euler},
    SchedulerEntry{"euler_a", "EulerAncestralDiscreteScheduler", "{}", "Euler with fresh noise at every step",
                   make_euler_ancestral},
    SchedulerEntry{"heun", "HeunDiscreteScheduler", "{}", "Heun: second order, two evaluations per step",
                   make_heun},
    SchedulerEntry{"heun-karras", "HeunDiscreteScheduler", kKarras, "Heun, Karras spacing", make_heun},
    SchedulerEntry{"ddim", "DDIMScheduler", "{}", "DDIM, deterministic", make_ddim},
    SchedulerEntry{"dpm++2m", "DPMSolverMultistepScheduler", "{}", "DPM-Solver++ 2M", make_dpm_solver},
    SchedulerEntry{"dpm++2m-karras", "DPMSolverMultistepScheduler", kKarras,
                   "DPM-Solver++ 2M, Karras spacing", make_dpm_solver},
    SchedulerEntry{"dpm++2m-sde", "DPMSolverMultistepScheduler", kSde,
                   "DPM-Solver++ 2M with fresh noise at every step", make_dpm_solver},
    SchedulerEntry{"pndm", "PNDMScheduler", "{}", "PNDM as configured", make_pndm},
    SchedulerEntry{"plms", "PNDMScheduler", kPlms, "PNDM without Runge-Kutta steps", make_pndm},
    SchedulerEntry{"flow_match_euler", "FlowMatchEulerDiscreteScheduler", "{}",
                   "Euler for models trained by flow matching", make_flow_match_euler},
};

const SchedulerEntry& find(std::string_view name, std::string_view source) {
    std::string names;
    for (const auto& entry : kSchedulers) {
        if (name == entry.name || name == entry.class_name) return entry;
        (names += names.empty() ? "" : ", ") += entry.name;
    }
    usage_error("{}: there is no scheduler \"{}\"; there are {}, and diffusers' class names of these", source,
                name.substr(0, 80), names);
}

}  // namespace

std::span<const SchedulerEntry> schedulers() {
    return kSchedulers;
}

std::unique_ptr<Scheduler> make_scheduler(std::string_view name, const nlohmann::json& config,
                                          std::string_view source) {
    const auto& entry = find(name, source);
    if (!config.is_object()) usage_error("{}: expected a JSON object, found {}", source, config.type_name());
    nlohmann::json merged = config;
    merged.update(nlohmann::json::parse(entry.overrides));
    return entry.make(SchedulerConfig(merged, entry.class_name, source));
}

std::unique_ptr<Scheduler> make_scheduler(const nlohmann::json& config, std::string_view source) {
    if (!config.is_object() || !config.contains("_class_name") || !config["_class_name"].is_string())
        usage_error("{}: no _class_name that says which scheduler it is for", source);
    const auto name = config["_class_name"].get<std::string>();
    return make_scheduler(name, config, source);
}

}  // namespace reprise
