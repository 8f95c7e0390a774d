#pragma once

#include <cmath>
#include <limits>
#include <string_view>

#include "reprise/error.h"

namespace reprise {

/// Error (usage) that names the option unless its value is a number that f32 holds.
inline void check_number(std::string_view name, double value) {
    if (!(std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max())))
        usage_error("{} is {}; expected a finite number of f32", name, value);
}

}  // namespace reprise
