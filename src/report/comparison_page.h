#pragma once

#include <cstddef>
#include <string>

#include "report/comparison.h"

namespace reprise::report {

/// A page that carries its pictures, of the first pairs, and needs nothing from elsewhere: a chart of speed
/// against distance, the table, the pictures side by side and under a slider, and the time and work of each
/// step. Without scripts all of it is there but the slider.
std::string to_html(const Comparison& comparison, std::size_t most_pairs);

}  // namespace reprise::report
