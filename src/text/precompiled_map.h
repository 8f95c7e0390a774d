#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

/// The `precompiled_charsmap` of a sentencepiece model: what strings become before pieces are sought. Text
/// is replaced as the reference tokenizer (the Rust crate behind transformers 5) does it: a grapheme of
/// less than 6 bytes as a whole where it begins with a string of the map, else character by character.
class PrecompiledMap {
  public:
    /// A map that changes nothing.
    PrecompiledMap() = default;
    /// The bytes: u32 size of a double array, the array, replacements that end in NUL. Usage error naming
    /// `file` when they are not that.
    PrecompiledMap(std::string_view bytes, const std::string& file);

    /// Well-formed UTF-8 to well-formed UTF-8.
    std::string normalize(std::string_view text) const;

  private:
    std::optional<std::string_view> replacement(std::string_view text) const;

    std::vector<std::uint32_t> units_;  // of the double array (darts-clone)
    std::string replacements_;
};

}  // namespace reprise
