#include "schedulers/noise_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "reprise/error.h"
#include "schedulers/numeric.h"

namespace reprise {

namespace {

enum class BetaSchedule { linear, scaled_linear, cosine, exponential };

/// Betas that make `alpha_bar`, a function of time from 0 to 1, the cumulative product.
template <class F>
std::vector<float> betas_of(F alpha_bar, int count) {
    constexpr double kMostBeta = 0.999;
    std::vector<float> betas(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        const double begin = alpha_bar(static_cast<double>(i) / count);
        const double end = alpha_bar(static_cast<double>(i + 1) / count);
        betas[static_cast<std::size_t>(i)] = static_cast<float>(std::min(1.0 - end / begin, kMostBeta));
    }
    return betas;
}

std::vector<float> make_betas(BetaSchedule schedule, double start, double end, int count) {
    switch (schedule) {
        case BetaSchedule::linear:
            return linspace_f32(start, end, count);
        case BetaSchedule::scaled_linear: {
            auto betas = linspace_f32(std::sqrt(start), std::sqrt(end), count);
            for (auto& beta : betas) beta *= beta;
            return betas;
        }
        case BetaSchedule::cosine:
            return betas_of(
                [](double t) {
                    const double c = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
                    return c * c;
                },
                count);
        case BetaSchedule::exponential:
            return betas_of([](double t) { return std::exp(t * -12.0); }, count);
    }
    return {};
}

/// Products of (1 - beta), summed up in double and stored in f32, as torch.cumprod does.
std::vector<float> cumulative_product(const std::vector<float>& betas) {
    std::vector<float> products(betas.size());
    double product = 1.0;
    for (std::size_t i = 0; i < betas.size(); ++i) {
        product *= static_cast<double>(1.0F - betas[i]);
        products[i] = static_cast<float>(product);
    }
    return products;
}

/// Algorithm 1 of 2305.08891: betas whose last timestep has no signal.
std::vector<float> rescale_to_zero_snr(const std::vector<float>& betas) {
    auto roots = cumulative_product(betas);
    for (auto& root : roots) root = std::sqrt(root);
    const float first = roots.front();
    const float last = roots.back();
    const float scale = first / (first - last);
    std::vector<float> result(betas.size());
    float previous = 1.0F;
    for (std::size_t i = 0; i < roots.size(); ++i) {
        const float root = (roots[i] - last) * scale;
        const float alpha_bar = root * root;
        result[i] = 1.0F - (i == 0 ? alpha_bar : alpha_bar / previous);
        previous = alpha_bar;
    }
    return result;
}

std::vector<float> read_betas(const SchedulerConfig& config, const NoiseScheduleTraits& traits) {
    constexpr int kMostTimesteps = 1'000'000;
    const int count = config.integer("num_train_timesteps", 1000, 2, kMostTimesteps);
    std::vector<float> betas;
    const char* source = "trained_betas";
    if (const auto trained = config.optional_numbers("trained_betas")) {
        if (trained->size() != static_cast<std::size_t>(count))
            config.refuse("trained_betas",
                          fmt::format("{} values, but num_train_timesteps is {}", trained->size(), count));
        betas = to_floats(*trained);
    } else {
        const double start = config.number("beta_start", traits.beta_start);
        const double end = config.number("beta_end", traits.beta_end);
        using enum BetaSchedule;
        const auto schedule =
            traits.exponential
                ? config.choice<BetaSchedule>("beta_schedule", "linear",
                                              {{"linear", linear},
                                               {"scaled_linear", scaled_linear},
                                               {"squaredcos_cap_v2", cosine},
                                               {"exp", exponential}})
                : config.choice<BetaSchedule>(
                      "beta_schedule", "linear",
                      {{"linear", linear}, {"scaled_linear", scaled_linear}, {"squaredcos_cap_v2", cosine}});
        betas = make_betas(schedule, start, end, count);
        if (schedule == linear || schedule == scaled_linear)
            source = start > 0.0 && start < 1.0 ? "beta_end" : "beta_start";
        else
            source = "beta_schedule";
    }
    for (const float beta : betas)
        if (!(beta > 0.0F && beta < 1.0F)) config.refuse(source, "every beta must lie between 0 and 1");
    return betas;
}

}  // namespace

std::vector<float> NoiseSchedule::log_sigmas() const {
    std::vector<float> logs(sigmas.size());
    std::transform(sigmas.begin(), sigmas.end(), logs.begin(), [](float x) { return std::log(x); });
    return logs;
}

NoiseSchedule read_noise_schedule(const SchedulerConfig& config, const NoiseScheduleTraits& traits) {
    auto betas = read_betas(config, traits);
    const bool zero_snr = traits.zero_snr && config.flag("rescale_betas_zero_snr", false);
    if (zero_snr) betas = rescale_to_zero_snr(betas);
    NoiseSchedule schedule;
    schedule.alphas_cumprod = cumulative_product(betas);
    if (schedule.alphas_cumprod.front() >= 1.0F || (!zero_snr && schedule.alphas_cumprod.back() <= 0.0F))
        usage_error("{}: the betas from {} to {} leave no noise at first or no signal at last in f32",
                    config.where(), betas.front(), betas.back());
    if (zero_snr && traits.sigma_of_zero_snr) schedule.alphas_cumprod.back() = 0x1p-24F;
    schedule.sigmas.reserve(betas.size());
    for (const float alpha : schedule.alphas_cumprod)
        schedule.sigmas.push_back(std::sqrt((1.0F - alpha) / alpha));
    return schedule;
}

TimestepSpacing read_timestep_spacing(const SchedulerConfig& config, std::string_view fallback) {
    using enum TimestepSpacing;
    return config.choice<TimestepSpacing>(
        "timestep_spacing", fallback, {{"linspace", linspace}, {"leading", leading}, {"trailing", trailing}});
}

int read_steps_offset(const SchedulerConfig& config, const NoiseSchedule& schedule) {
    return config.integer("steps_offset", 0, 0, schedule.num_train_timesteps());
}

void refuse_step_count(int count, int num_train_timesteps) {
    usage_error("{} steps are more than the {} timesteps that the scheduler was configured for; take fewer",
                count, num_train_timesteps);
}

std::vector<double> trailing_timesteps(int num_train_timesteps, int last_timestep, int count) {
    // As numpy.arange(last, 0, -ratio) computes it: the length, then multiples of the rounded difference.
    const double ratio = static_cast<double>(num_train_timesteps) / count;
    const double difference = (last_timestep - ratio) - last_timestep;
    const auto length = std::min(static_cast<int>(std::ceil(last_timestep / ratio)), count);
    std::vector<double> timesteps;
    for (int i = 0; i < length; ++i)
        timesteps.push_back(std::nearbyint(last_timestep + i * difference) - 1.0);
    return timesteps;
}

std::vector<double> spaced_timesteps(TimestepSpacing spacing, const NoiseSchedule& schedule, int steps_offset,
                                     int count) {
    const int train = schedule.num_train_timesteps();
    if (spacing == TimestepSpacing::trailing) return trailing_timesteps(train, train, count);
    std::vector<double> timesteps;
    if (spacing == TimestepSpacing::linspace) {
        timesteps = linspace(0.0, train - 1.0, count);
    } else {
        const int ratio = train / count;
        if (ratio == 0) refuse_step_count(count, train);
        for (int i = 0; i < count; ++i) timesteps.push_back(static_cast<double>(i) * ratio + steps_offset);
    }
    std::reverse(timesteps.begin(), timesteps.end());
    return timesteps;
}

}  // namespace reprise
