#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string_view>

#include "options/row.h"

namespace reprise::app {

/// The command's flags for the options of a table, and what of them was given.
class RowFlags {
  public:
    explicit RowFlags(const options::Table& table) : table_(&table) {}

    /// Adds the flag of each row that has one and that `wanted` chooses. It is not moved afterwards.
    void add(CLI::App& command, const std::function<bool(const options::Row&)>& wanted);

    /// Sets what was given.
    void apply_to(void* owner) const;
    bool any() const { return !given_.empty(); }
    bool has(std::string_view name) const { return given_.contains(name); }
    /// The value that was given, or else the default.
    Json value(std::string_view name) const;

  private:
    void add(CLI::App& command, const options::Row& row);

    const options::Table* table_;
    std::map<std::string_view, Json> given_;
};

}  // namespace reprise::app
