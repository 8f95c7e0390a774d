#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/safetensors_header.h"
#include "reprise/tensor.h"

namespace reprise {

class MappedFile;

/// A safetensors file, mapped. A cheap handle: copies share the mapping, and so do the tensors, which keep
/// it alive.
class SafetensorsFile {
  public:
    /// Usage error naming the file and what is wrong with it, as parse_safetensors_header says.
    explicit SafetensorsFile(const std::filesystem::path& path);
    /// The same for bytes in memory, which `owner` keeps alive.
    SafetensorsFile(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, std::string name);

    /// The path it was opened by.
    const std::string& name() const { return name_; }
    /// Sorted.
    std::vector<std::string> names() const;
    /// All tensors by name, as the header describes them.
    const std::map<std::string, SafetensorsEntry, std::less<>>& entries() const { return header_->entries; }
    const std::map<std::string, std::string>& metadata() const { return header_->metadata; }
    /// The tensor of that name, read-only, sharing the mapping (a copy where the file has it at an address
    /// that its type does not allow). Nothing when there is none; usage error when its type is not one of
    /// Reprise's.
    std::optional<Tensor> find(std::string_view name) const;
    /// The bytes of a tensor that is there, at whatever address the file has them.
    std::span<const std::byte> raw(std::string_view name) const;
    /// See MappedFile.
    void release_pages() const;

  private:
    std::string name_;
    std::shared_ptr<const MappedFile> file_;  // absent for bytes in memory
    std::shared_ptr<const void> owner_;
    std::span<const std::byte> bytes_;
    std::shared_ptr<const SafetensorsHeader> header_;
};

using Metadata = std::map<std::string, std::string>;

/// Writes tensors under distinct names; the file appears whole or not at all. Data begin 64-byte aligned and
/// every tensor is aligned for its type. Errors as AtomicFile's.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const Metadata& metadata = {});

/// A file to be written: its header, and where each tensor goes.
struct SafetensorsLayout {
    struct Item {
        std::string name;
        DType type = DType::f32;
        Shape shape;
        std::uint64_t offset = 0;  ///< from the start of the file; set by lay_out_safetensors
    };
    std::vector<Item> items;  ///< in the order of their offsets
    std::string header;       ///< the file's first bytes
    std::uint64_t file_bytes = 0;
};

/// Lays out tensors whose names are distinct: those whose sizes are multiples of 64 bytes first, then of
/// 32, ..., so that all are aligned, and most to 64 bytes. Failure for a name given twice.
SafetensorsLayout lay_out_safetensors(std::vector<SafetensorsLayout::Item> items, const Metadata& metadata);

}  // namespace reprise
