#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "reprise/error.h"

namespace reprise::report {

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
