#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "files/json.h"

namespace reprise {

/// Small files by name, such as a tokenizer's: those of a folder, or texts in memory. A cheap handle.
class FileSet {
  public:
    using Texts = std::map<std::string, std::string, std::less<>>;

    /// Those of a folder, read when they are asked for.
    // NOLINTNEXTLINE(google-explicit-constructor): a folder is given where files are asked for
    FileSet(std::filesystem::path folder)
        : where_(std::move(folder)) {}  // NOLINT(google-explicit-constructor)
    /// Texts that are called files of `where` in errors.
    FileSet(std::filesystem::path where, Texts texts) : where_(std::move(where)), texts_(std::move(texts)) {}

    /// The folder.
    const std::filesystem::path& where() const { return where_; }
    bool has(std::string_view name) const;
    /// Errors as read_text_file's and parse_json's.
    std::string text(std::string_view name) const;
    Json json(std::string_view name) const;

  private:
    std::filesystem::path where_;
    std::optional<Texts> texts_;
};

}  // namespace reprise
