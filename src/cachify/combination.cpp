#include "cachify/combination.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reprise/error.h"

namespace reprise::cachify {

namespace {

bool is_forecast(const Store& store) {
    return store.rule == Store::Rule::forecast || store.rule == Store::Rule::delta_forecast;
}

bool is_linear(const Store& store) {
    return store.rule == Store::Rule::linear || store.rule == Store::Rule::delta_linear;
}

const std::vector<double>& linear_weights(const Store& store, int decision) {
    const std::size_t alone = store.weights.size() == 1 ? 0 : static_cast<std::size_t>(decision);
    return store.weights.at(alone);
}

}  // namespace

bool keeps_differences(const Store& store) {
    return store.rule == Store::Rule::delta || store.rule == Store::Rule::delta_forecast ||
           store.rule == Store::Rule::delta_linear;
}

bool is_combination(const Store& store) {
    return is_forecast(store) || is_linear(store) || store.rule == Store::Rule::mean;
}

int terms_at(const Store& store, int decision) {
    if (is_forecast(store)) return store.order + 1;
    return is_linear(store) ? static_cast<int>(linear_weights(store, decision).size()) : 1;
}

int least_terms_at(const Store& store, int decision) {
    return is_forecast(store) ? 1 : terms_at(store, decision);
}

int most_terms(const Store& store) {
    if (!is_linear(store)) return terms_at(store, 0);
    std::size_t most = 1;
    for (const auto& weights : store.weights) most = std::max(most, weights.size());
    return static_cast<int>(most);
}

bool fits_f32(double weight) {
    return std::abs(weight) <= std::numeric_limits<float>::max();
}

std::vector<float> weights_at(const Store& store, const std::vector<int>& when, int now, int decision) {
    if (is_forecast(store)) return forecast_weights(when, now, store.order);
    if (!is_linear(store)) return {1.0F};
    std::vector<float> result;
    for (const double weight : linear_weights(store, decision)) result.push_back(static_cast<float>(weight));
    if (result.size() > when.size())
        failure("planner: a sum of {} values where {} were kept", result.size(), when.size());
    return result;
}

std::vector<float> forecast_weights(const std::vector<int>& when, int now, int order) {
    const std::size_t known = std::min(when.size(), static_cast<std::size_t>(order) + 1);
    // derivative k at computation i, as weights over the values; i = 0 is the newest
    const auto derivative = [&](auto&& self, std::size_t k, std::size_t i) -> std::vector<double> {
        std::vector<double> weights(known, 0.0);
        if (k == 0) {
            weights[i] = 1;
            return weights;
        }
        const auto newer = self(self, k - 1, i);
        const auto older = self(self, k - 1, i + 1);
        const double gap = when[i] - when[i + 1];
        for (std::size_t j = 0; j < known; ++j) weights[j] = (newer[j] - older[j]) / gap;
        return weights;
    };
    std::vector<double> total(known, 0.0);
    double power = 1;  // distance^k / k!
    for (std::size_t k = 0; k < known; ++k) {
        const auto weights = derivative(derivative, k, 0);
        for (std::size_t j = 0; j < known; ++j) total[j] += weights[j] * power;
        power *= static_cast<double>(now - when[0]) / static_cast<double>(k + 1);
    }
    return {total.begin(), total.end()};
}

int look_back(const Schedule& schedule) {
    int most = 1;
    for (const auto& rule : schedule.rules) most = std::max(most, most_terms(rule.store));
    for (const auto& rule : schedule.branch_rules) most = std::max(most, most_terms(rule.store));
    return most;
}

}  // namespace reprise::cachify
