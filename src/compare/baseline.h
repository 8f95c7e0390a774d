#pragma once

#include <functional>
#include <vector>

namespace reprise::report {

/// Numbers of steps that stand beside ways of reuse.
struct Baseline {
    std::vector<int> counts;  ///< to be run, ascending, each below the full number
    /// By way: the fewest steps that take no less time than it; the full number where no fewer do.
    std::vector<int> equal;
};

/// Chooses them: one of about equal time for each way, one faster than all, and some between, so that they
/// make a curve. `relative_times`: of each way, in shares of the full run's. `evaluations(n)`: calls of the
/// denoiser that n steps take.
Baseline choose_baseline(int num_steps, const std::vector<double>& relative_times,
                         const std::function<double(int)>& evaluations);

}  // namespace reprise::report
