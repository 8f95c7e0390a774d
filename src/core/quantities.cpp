#include "core/quantities.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

namespace reprise {

namespace {

/// Three significant digits: 1.23, 12.3, 123.
std::string three_digits(double value) {
    const double size = std::abs(value);
    return size < 9.995 ? fmt::format("{:.2f}", value)
                        : (size < 99.95 ? fmt::format("{:.1f}", value) : fmt::format("{:.0f}", value));
}

std::string scaled(double value, const std::array<std::string_view, 6>& units) {
    std::size_t unit = 0;
    while (unit + 1 < units.size() && std::abs(value) >= 999.5) {
        value /= 1000;
        ++unit;
    }
    return fmt::format("{}{}", unit == 0 ? fmt::format("{:.0f}", value) : three_digits(value), units[unit]);
}

}  // namespace

std::string human_bytes(double bytes) {
    return scaled(bytes, {" B", " kB", " MB", " GB", " TB", " PB"});
}

std::string human_flops(double flops) {
    return scaled(flops, {" FLOP", " kFLOP", " MFLOP", " GFLOP", " TFLOP", " PFLOP"});
}

std::string human_count(double count) {
    return scaled(count, {"", " k", " M", " B", " T", " Q"});
}

std::string human_seconds(double seconds) {
    if (seconds < 0.9995) return three_digits(seconds * 1e3) + " ms";
    if (seconds < 99.95) return three_digits(seconds) + " s";
    const auto whole = std::llround(seconds);
    if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
    return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string percent(double share) {
    const double value = 100 * share;
    return std::abs(value) < 9.95 && value != 0 ? fmt::format("{:.1f} %", value)
                                                : fmt::format("{:.0f} %", value);
}

}  // namespace reprise
