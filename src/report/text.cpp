#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "reprise/error.h"

namespace reprise::report {

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

std::string ranges(const std::vector<int>& numbers) {
    std::string text;
    for (std::size_t begin = 0; begin < numbers.size();) {
        std::size_t end = begin + 1;
        while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
        if (end - begin < 3) end = begin + 1;
        text += text.empty() ? "" : ", ";
        text += end - begin == 1 ? fmt::format("{}", numbers[begin])
                                 : fmt::format("{}-{}", numbers[begin], numbers[end - 1]);
        begin = end;
    }
    return text;
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

void Table::add(std::vector<std::string> cells) {
    if (cells.size() > columns_.size())
        failure("a table of {} columns was given a row of {} cells", columns_.size(), cells.size());
    cells.resize(columns_.size());
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    std::vector<std::size_t> widths;
    bool titled = false;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
        widths.push_back(display_width(columns_[c].title));
        titled = titled || !columns_[c].title.empty();
        for (const auto& row : rows_) widths[c] = std::max(widths[c], display_width(row[c]));
    }
    std::string text;
    const auto line = [&](auto&& cell) {
        std::string one;
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            const std::string& content = cell(c);
            const std::string padding(widths[c] - display_width(content), ' ');
            if (c > 0) one += "  ";
            one += columns_[c].align == Align::left ? content + padding : padding + content;
        }
        one.erase(one.find_last_not_of(' ') + 1);
        text += one + "\n";
    };
    if (titled) line([&](std::size_t c) -> const std::string& { return columns_[c].title; });
    for (const auto& row : rows_) line([&](std::size_t c) -> const std::string& { return row[c]; });
    return text;
}

}  // namespace reprise::report
