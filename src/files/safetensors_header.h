#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "reprise/tensor.h"

namespace reprise {

/// What a safetensors header says of one tensor. Offsets count from the end of the header.
struct SafetensorsEntry {
    std::string dtype;  ///< as the file spells it: "F16", "F8_E4M3", ...
    Shape shape;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

struct SafetensorsHeader {
    std::map<std::string, SafetensorsEntry, std::less<>> entries;
    std::map<std::string, std::string> metadata;
    std::uint64_t data_begin = 0;  ///< bytes from the start of the file
};

/// Largest header that is read, in bytes.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

/// Reads and checks the header of a file whose bytes these are; `file` names it in errors. Usage error
/// unless the header is whole, every tensor's bytes are what its shape and type need, and the tensors
/// cover the rest of the file without holes or overlaps. (Format: github.com/huggingface/safetensors.)
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes, std::string_view file);

/// The element type that safetensors spells so; nothing for one that Reprise does not know.
std::optional<DType> dtype_from_safetensors(std::string_view name);
std::string_view dtype_to_safetensors(DType type);

}  // namespace reprise
