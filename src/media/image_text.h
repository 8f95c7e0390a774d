#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace reprise {

/// A text that `encode_png`, `encode_webp` or `encode_animated_webp` put into a file under this key. Nothing
/// where the bytes are of none of them, or have no such text; of several the first. Values with line breaks
/// are read up to the first where the format has "key: value" lines (WebP).
std::optional<std::string> text_in(std::span<const std::byte> bytes, std::string_view key);

/// The same of a PNG's text chunks that are not compressed, and of a WebP's description.
std::optional<std::string> text_in_png(std::span<const std::byte> bytes, std::string_view key);
std::optional<std::string> text_in_webp(std::span<const std::byte> bytes, std::string_view key);

/// The value of the key in "key: value" lines.
std::optional<std::string> text_in_lines(std::string_view lines, std::string_view key);

}  // namespace reprise
