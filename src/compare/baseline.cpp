#include "compare/baseline.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace reprise::report {

namespace {

constexpr std::size_t kMostCounts = 8;
/// Neighbours on the curve are at most this far apart, as a ratio.
constexpr double kWidestGap = 1.4;

}  // namespace

Baseline choose_baseline(int num_steps, const std::vector<double>& relative_times,
                         const std::function<double(int)>& evaluations) {
    Baseline result;
    std::set<int> counts;
    for (const double time : relative_times) {
        int steps = 1;
        while (steps < num_steps && evaluations(steps) < time * evaluations(num_steps)) ++steps;
        result.equal.push_back(steps);
        if (steps < num_steps)
            counts.insert(steps);
        else if (time < 1 && num_steps > 1)
            counts.insert(num_steps - 1);  // the next best
    }
    if (!counts.empty() && *counts.begin() > 1) counts.insert(*counts.begin() - 1);
    while (!counts.empty() && counts.size() < kMostCounts) {
        double widest = kWidestGap;
        int between = 0;
        for (auto low = counts.begin(); low != counts.end(); ++low) {
            const int high = std::next(low) == counts.end() ? num_steps : *std::next(low);
            const double gap = static_cast<double>(high) / *low;
            if (gap <= widest || high - *low < 2) continue;
            widest = gap;
            between = std::clamp(static_cast<int>(std::lround(std::sqrt(static_cast<double>(*low) * high))),
                                 *low + 1, high - 1);
        }
        if (between == 0) break;
        counts.insert(between);
    }
    result.counts.assign(counts.begin(), counts.end());
    return result;
}

}  // namespace reprise::report
