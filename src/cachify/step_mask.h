#pragma once

#include <array>
#include <string_view>
#include <vector>

namespace reprise::cachify {

/// cache-dit's step masks: which steps compute and which may reuse, made for 28 steps and stretched to
/// others.
inline constexpr std::array<std::string_view, 4> kStepMasks = {"slow", "medium", "fast", "ultra"};

/// [step]: whether it may be reused. Error (usage) listing the names for an unknown one.
std::vector<bool> step_mask(std::string_view name, int num_steps);

}  // namespace reprise::cachify
