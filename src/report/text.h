#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/quantities.h"

namespace reprise::report {

/// "0-3, 5, 7": ascending numbers with runs of three or more joined.
std::string ranges(const std::vector<int>& numbers);
/// Columns that a terminal needs for UTF-8 text of ordinary width.
std::size_t display_width(std::string_view text);

/// Text in columns. Cells are UTF-8 without control characters.
class Table {
  public:
    enum class Align { left, right };
    struct Column {
        std::string title;
        Align align = Align::left;
    };
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// Missing cells are empty; more than there are columns is a failure.
    void add(std::vector<std::string> cells);
    bool empty() const { return rows_.empty(); }
    /// Lines with two blanks between columns, none at the end. Without titles when all are empty.
    std::string text() const;

  private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace reprise::report
