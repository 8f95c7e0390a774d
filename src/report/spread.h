#pragma once

#include <vector>

namespace reprise::report {

/// Smallest, middle and largest of some measurements.
struct Spread {
    double median = 0, low = 0, high = 0;
};
/// Zeros for none.
Spread spread_of(std::vector<double> values);

/// The mean of some values, and how far they lie apart.
struct Mean {
    double mean = 0;
    double error = 0;  ///< standard error of the mean; 0 for a single value
    double low = 0, high = 0;
};
/// Zeros for none.
Mean mean_of(const std::vector<double>& values);

}  // namespace reprise::report
