#include "schedulers/registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <string>

#include "files/printable.h"
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

/// The keys of all of diffusers' scheduler classes. What a class does not read means nothing to it.
constexpr auto kKeys = std::to_array<std::string_view>({"algorithm_type",
                                                        "alpha_cum_end",
                                                        "alpha_cum_start",
                                                        "base_image_seq_len",
                                                        "base_shift",
                                                        "beta_end",
                                                        "beta_schedule",
                                                        "beta_start",
                                                        "block_length",
                                                        "clip_denoised",
                                                        "clip_sample",
                                                        "clip_sample_range",
                                                        "correct_steps",
                                                        "corrector_k",
                                                        "corrector_order",
                                                        "corrector_selection",
                                                        "corrector_selection_tau",
                                                        "corrector_steps",
                                                        "disable_corrector",
                                                        "dynamic_thresholding_ratio",
                                                        "editing_threshold",
                                                        "entropy_bound",
                                                        "eps",
                                                        "eta",
                                                        "euler_at_final",
                                                        "final_sigmas_type",
                                                        "final_step_size_scale",
                                                        "flow_shift",
                                                        "gamma",
                                                        "gamma_cum_end",
                                                        "gamma_cum_start",
                                                        "interpolation_type",
                                                        "invert_sigmas",
                                                        "lambda_min_clipped",
                                                        "lower_order_final",
                                                        "mask_token_id",
                                                        "masking_schedule",
                                                        "max_image_seq_len",
                                                        "max_shift",
                                                        "minimal_topk",
                                                        "n_grid",
                                                        "noise_mode",
                                                        "num_inference_steps",
                                                        "num_policy_substeps",
                                                        "num_train_timesteps",
                                                        "num_vec_classes",
                                                        "original_inference_steps",
                                                        "predict_x0",
                                                        "prediction_type",
                                                        "predictor_order",
                                                        "rescale_betas_zero_snr",
                                                        "rho",
                                                        "s",
                                                        "s_churn",
                                                        "s_max",
                                                        "s_min",
                                                        "s_noise",
                                                        "sample_max_value",
                                                        "sampling_eps",
                                                        "scale_factors",
                                                        "scaler",
                                                        "schedule_mode",
                                                        "scheduler_type",
                                                        "set_alpha_to_one",
                                                        "shift",
                                                        "shift_terminal",
                                                        "sigma_data",
                                                        "sigma_max",
                                                        "sigma_min",
                                                        "sigma_schedule",
                                                        "skip_prk_steps",
                                                        "snr",
                                                        "snr_shift_scale",
                                                        "solver_order",
                                                        "solver_p",
                                                        "solver_type",
                                                        "stage_range",
                                                        "stages",
                                                        "steps_offset",
                                                        "stochastic_sampling",
                                                        "t_lim_ode",
                                                        "t_lim_ode_below",
                                                        "t_max",
                                                        "t_min",
                                                        "tail_step_multiplier",
                                                        "tail_steps",
                                                        "tau_func",
                                                        "threshold",
                                                        "thresholding",
                                                        "time_shift_type",
                                                        "timestep_scaling",
                                                        "timestep_spacing",
                                                        "timestep_type",
                                                        "trained_betas",
                                                        "tsr_k",
                                                        "tsr_sigma",
                                                        "upscale_mode",
                                                        "use_beta_sigmas",
                                                        "use_dynamic_shifting",
                                                        "use_exponential_sigmas",
                                                        "use_flow_sigmas",
                                                        "use_karras_sigmas",
                                                        "use_lu_lambdas",
                                                        "variance_type"});

/// As diffusers' from_config: without the values that were a class's defaults when the file was made.
void drop_defaults(nlohmann::json& config, std::string_view source) {
    const auto found = config.find("_use_default_values");
    if (found == config.end()) return;
    const nlohmann::json defaults = *found;
    const bool good = defaults.is_array() && std::all_of(defaults.begin(), defaults.end(),
                                                         [](const auto& key) { return key.is_string(); });
    if (!good)
        usage_error("{}: _use_default_values is {}: expected a list of keys", source,
                    printable(defaults.dump()));
    for (const auto& key : defaults) config.erase(key.get<std::string>());
}

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

void warn_of_unknown_keys(const nlohmann::json& config, std::string_view source) {
    for (const auto& [key, value] : config.items())
        if (!key.starts_with('_') && std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
            spdlog::warn("{}: \"{}\" is not a known key and has no effect", source, printable(key));
}

std::span<const SchedulerEntry> schedulers() {
    return kSchedulers;
}

std::unique_ptr<Scheduler> make_scheduler(std::string_view name, const nlohmann::json& config,
                                          std::string_view source) {
    const auto& entry = find(name, source);
    if (!config.is_object()) usage_error("{}: expected a JSON object, found {}", source, config.type_name());
    nlohmann::json merged = config;
    drop_defaults(merged, source);
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
