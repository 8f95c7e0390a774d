#include "schedulers/sigma_table.h"

#include <algorithm>
#include <cmath>

#include "schedulers/elementwise.h"
#include "schedulers/numeric.h"

namespace reprise {

SigmaSpacing read_sigma_spacing(const SchedulerConfig& config) {
    if (config.exclusive_flag("use_beta_sigmas")) config.refuse_flags({"use_beta_sigmas"});
    const bool karras = config.exclusive_flag("use_karras_sigmas");
    const bool exponential = config.exclusive_flag("use_exponential_sigmas");
    if (karras && exponential) config.refuse("use_exponential_sigmas", "use_karras_sigmas is set too");
    if (karras) return SigmaSpacing::karras;
    return exponential ? SigmaSpacing::exponential : SigmaSpacing::as_timesteps;
}

SigmaBounds read_sigma_bounds(const SchedulerConfig& config) {
    const auto read = [&](const char* key) {
        const auto sigma = config.optional_number(key);
        if (sigma && !(*sigma > 0.0 && *sigma < 1e30)) config.refuse(key, "expected a number above 0");
        return sigma;
    };
    return {read("sigma_min"), read("sigma_max")};
}

std::vector<double> spaced_sigmas(SigmaSpacing spacing, const SigmaBounds& bounds, double schedule_least,
                                  double schedule_most, int count) {
    const double least = bounds.least.value_or(schedule_least);
    const double most = bounds.most.value_or(schedule_most);
    return spacing == SigmaSpacing::karras ? karras_sigmas(least, most, count)
                                           : exponential_sigmas(least, most, count);
}

SigmaTable make_sigma_table(const SigmaSettings& settings, const NoiseSchedule& schedule, int count) {
    auto timesteps = spaced_timesteps(settings.timestep_spacing, schedule, settings.steps_offset, count);
    for (auto& timestep : timesteps) timestep = static_cast<float>(timestep);
    std::vector<double> sigmas;
    if (settings.log_linear) {  // one more than there are timesteps
        for (const float log_sigma :
             linspace_f32(std::log(schedule.sigmas.back()), std::log(schedule.sigmas.front()), count + 1))
            sigmas.push_back(std::exp(log_sigma));
    } else {
        for (const double timestep : timesteps) sigmas.push_back(interpolate(timestep, schedule.sigmas));
    }
    if (settings.sigma_spacing != SigmaSpacing::as_timesteps) {
        sigmas = spaced_sigmas(settings.sigma_spacing, settings.bounds, sigmas.back(), sigmas.front(), count);
        const auto log_sigmas = schedule.log_sigmas();
        timesteps.clear();
        for (const double sigma : sigmas) timesteps.push_back(sigma_to_timestep(sigma, log_sigmas));
    }
    sigmas.push_back(settings.end_at_sigma_min ? static_cast<double>(schedule.sigmas.front()) : 0.0);

    SigmaTable table{to_floats(timesteps), to_floats(sigmas), 0.0F};
    if (settings.continuous_timesteps) {
        table.timesteps.clear();
        for (std::size_t i = 0; i + 1 < table.sigmas.size(); ++i)
            table.timesteps.push_back(0.25F * std::log(table.sigmas[i]));
    }
    const float most = *std::max_element(table.sigmas.begin(), table.sigmas.end());
    table.init_noise_sigma =
        settings.timestep_spacing == TimestepSpacing::leading ? std::sqrt(most * most + 1.0F) : most;
    return table;
}

float predict_original(PredictionType type, float sigma, float sample, float model_output) {
    switch (type) {
        case PredictionType::epsilon:
            return sample - sigma * model_output;
        case PredictionType::v_prediction: {
            const float power = sigma * sigma + 1.0F;
            return model_output * (-sigma / std::sqrt(power)) + sample / power;
        }
        case PredictionType::sample:
        case PredictionType::flow:
            break;
    }
    return model_output;
}

Tensor scale_by_sigma(const Tensor& sample, float sigma) {
    const float scale = std::sqrt(sigma * sigma + 1.0F);
    return map([scale](float x) { return x / scale; }, sample);
}

std::vector<Evaluation> one_per_step(const std::vector<float>& timesteps) {
    std::vector<Evaluation> evaluations;
    for (const float timestep : timesteps)
        evaluations.push_back({static_cast<int>(evaluations.size()), timestep});
    return evaluations;
}

}  // namespace reprise
