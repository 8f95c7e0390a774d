#pragma once

#include <vector>

#include "cachify/schedule.h"

namespace reprise::cachify {

// Where a module is reused, its store rule takes a weighted sum of the module's last values, newest first. Of
// `output` and `delta` that is the last one; of forecasts and linear combinations it is several. Here stands
// how many there are and with which weights. Only `mean` sums over branches; it takes the last of each.

/// Whether the values are differences between a module's output and its input.
bool keeps_differences(const Store& store);
/// Whether reuse computes a sum, even where it has one term. Otherwise the last value is read as it is.
bool is_combination(const Store& store);

/// How many of the last values the rule takes where it reuses at that decision (the step, or the evaluation
/// with Count::evaluations). A forecast takes fewer where there are fewer.
int terms_at(const Store& store, int decision);
/// How many there must be: all of a linear combination, one of a forecast.
int least_terms_at(const Store& store, int decision);
/// The most at any decision.
int most_terms(const Store& store);

/// Whether it can be a weight: finite as f32.
bool fits_f32(double weight);

/// The weights of the last values at evaluation `now`. `when` are the evaluations that computed them.
std::vector<float> weights_at(const Store& store, const std::vector<int>& when, int now, int decision);

/// Weights of the last values, newest first, that extrapolate them to evaluation `now` (TaylorSeer, arXiv
/// 2503.06923, with derivatives as differences divided by the gap between the evaluations that computed
/// them). `when` are those evaluations, newest first; as many are used as the order asks for and as there
/// are.
std::vector<float> forecast_weights(const std::vector<int>& when, int now, int order);

/// How many full steps before a first reuse are all that the schedule's reuse looks back to.
int look_back(const Schedule& schedule);

}  // namespace reprise::cachify
