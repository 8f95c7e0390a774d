#pragma once

#include <functional>
#include <string_view>

namespace reprise::cachify {

/// A condition over `step` and `num_steps` in Python's notation: integers, + - * // %, comparisons (chained
/// too), `in` and `not in` with a list, `and`, `or`, `not`, True, False, parentheses; `//` and `%` round down
/// as Python's do. Error (usage) with the place of the fault; the function throws one for a division by zero
/// or a result too large.
std::function<bool(int step, int num_steps)> parse_condition(std::string_view text);

}  // namespace reprise::cachify
