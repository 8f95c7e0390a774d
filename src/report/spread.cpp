#include "report/spread.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace reprise::report {

Spread spread_of(std::vector<double> values) {
    if (values.empty()) return {};
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    return {median, values.front(), values.back()};
}

Mean mean_of(const std::vector<double>& values) {
    if (values.empty()) return {};
    const auto count = static_cast<double>(values.size());
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    const bool spread = values.size() > 1 && std::isfinite(mean);
    return {mean, spread ? std::sqrt(squares / (count - 1) / count) : 0, *low, *high};
}

}  // namespace reprise::report
