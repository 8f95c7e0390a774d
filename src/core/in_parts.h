#pragma once

#include <algorithm>
#include <cstddef>
#include <thread>
#include <vector>

namespace reprise {

/// Calls `part(begin, end)` for parts of [0, count) that together are all of it, of at least `least` each
/// where there are several, on as many threads as that makes but no more than `threads`. The caller's is one
/// of them. `part` must not throw.
template <class F>
void in_parts(std::size_t count, std::size_t least, std::size_t threads, const F& part) {
    const std::size_t parts = std::clamp<std::size_t>(count / std::max<std::size_t>(1, least), 1, threads);
    std::vector<std::jthread> others;
    for (std::size_t p = 1; p < parts; ++p)
        others.emplace_back([&, p] { part(count * p / parts, count * (p + 1) / parts); });
    part(std::size_t{0}, count / parts);
}

}  // namespace reprise
