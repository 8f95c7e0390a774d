#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace reprise::backends {

/// Where pixel `i` of `out` pixels comes from among `in`, as torch's interpolate(mode="nearest") to a given
/// size finds it: floor(i * in / out) with the ratio rounded to f32, save for equal and doubled sizes.
inline std::int64_t nearest_source(std::int64_t i, std::int64_t in, std::int64_t out) {
    if (out == in) return i;
    if (out == 2 * in) return i / 2;
    const float ratio = static_cast<float>(in) / static_cast<float>(out);
    return std::min(static_cast<std::int64_t>(std::floor(static_cast<float>(i) * ratio)), in - 1);
}

}  // namespace reprise::backends
