#include "cachify/step_mask.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

constexpr int kMadeFor = 28;
/// Steps in turn that compute and that reuse (vipshop/cache-dit, its documented bins); 0 ends the list.
constexpr std::array<std::array<int, 11>, 4> kBins = {{{8, 1, 3, 2, 3, 2, 2, 2, 1, 3, 1},
                                                       {6, 1, 2, 3, 2, 3, 2, 3, 2, 3, 1},
                                                       {6, 1, 1, 3, 1, 4, 1, 5, 1, 4, 1},
                                                       {4, 2, 1, 5, 1, 6, 1, 7, 1, 0, 0}}};

}  // namespace

std::vector<bool> step_mask(std::string_view name, int num_steps) {
    const auto found = std::find(kStepMasks.begin(), kStepMasks.end(), name);
    if (found == kStepMasks.end())
        usage_error("'{}' is no step mask; there are {}", printable(name), fmt::join(kStepMasks, ", "));
    if (num_steps < 1) failure("a step mask for {} steps", num_steps);
    std::vector<bool> mask(static_cast<std::size_t>(num_steps), false);
    int made_for = 0;  // steps so far, of those that the mask was made for
    int begin = 0;
    bool reuse = false;
    for (const int count : kBins[static_cast<std::size_t>(found - kStepMasks.begin())]) {
        made_for += count;
        int end = static_cast<int>(std::lround(static_cast<double>(made_for) * num_steps / kMadeFor));
        if (!reuse && count > 0) end = std::min(std::max(end, begin + 1), num_steps);
        for (; begin < end; ++begin) mask[static_cast<std::size_t>(begin)] = reuse && begin > 0;
        reuse = !reuse;
    }
    mask.back() = false;
    return mask;
}

}  // namespace reprise::cachify
