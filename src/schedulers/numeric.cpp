#include "schedulers/numeric.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace reprise {

std::vector<double> linspace(double start, double stop, int count) {
    std::vector<double> values(static_cast<std::size_t>(count));
    const double step = (stop - start) / std::max(count - 1, 1);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) * step + start;
    if (count > 1) values.back() = stop;
    return values;
}

std::vector<float> linspace_f32(double start, double stop, int count) {
    const auto first = static_cast<float>(start);
    const auto last = static_cast<float>(stop);
    const float step = (last - first) / static_cast<float>(std::max(count - 1, 1));
    std::vector<float> values(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
        values[static_cast<std::size_t>(i)] = i < count / 2 || count == 1
                                                  ? std::fma(step, static_cast<float>(i), first)
                                                  : std::fma(-step, static_cast<float>(count - 1 - i), last);
    return values;
}

double interpolate(double x, std::span<const float> values) {
    const auto last = static_cast<double>(values.size() - 1);
    if (!(x > 0.0)) return values.front();
    if (x >= last) return values.back();
    const auto i = static_cast<std::size_t>(x);
    const double slope = static_cast<double>(values[i + 1]) - static_cast<double>(values[i]);
    return slope * (x - static_cast<double>(i)) + static_cast<double>(values[i]);
}

double sigma_to_timestep(double sigma, std::span<const float> log_sigmas) {
    const double log_sigma = std::log(std::max(sigma, 1e-10));
    std::size_t low = 0;
    for (std::size_t i = 0; i < log_sigmas.size(); ++i)
        if (log_sigma >= static_cast<double>(log_sigmas[i])) low = i;
    low = std::min(low, log_sigmas.size() - 2);
    const float width = log_sigmas[low] - log_sigmas[low + 1];
    const double weight = std::clamp((static_cast<double>(log_sigmas[low]) - log_sigma) / width, 0.0, 1.0);
    return (1.0 - weight) * static_cast<double>(low) + weight * static_cast<double>(low + 1);
}

std::vector<double> karras_sigmas(double sigma_min, double sigma_max, int count) {
    constexpr double kRho = 7.0;
    const double from = std::pow(sigma_max, 1.0 / kRho);
    const double to = std::pow(sigma_min, 1.0 / kRho);
    auto sigmas = linspace(0.0, 1.0, count);
    for (auto& sigma : sigmas) sigma = std::pow(from + sigma * (to - from), kRho);
    return sigmas;
}

std::vector<double> exponential_sigmas(double sigma_min, double sigma_max, int count) {
    auto sigmas = linspace(std::log(sigma_max), std::log(sigma_min), count);
    for (auto& sigma : sigmas) sigma = std::exp(sigma);
    return sigmas;
}

std::vector<float> to_floats(std::span<const double> values) {
    std::vector<float> floats(values.size());
    std::transform(values.begin(), values.end(), floats.begin(),
                   [](double x) { return static_cast<float>(x); });
    return floats;
}

}  // namespace reprise
