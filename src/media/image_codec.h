#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/image.h"

namespace reprise {

/// Decodes the bytes of a PNG, JPEG or WebP file, turned upright where its Exif or XMP data say how; `file`
/// names it in errors. See Image::load.
Image decode_image(std::span<const std::byte> bytes, std::string_view file);

/// The file's bytes. `file` names it in errors.
std::vector<std::byte> encode_png(const Image& image, const ImageText& text, std::string_view file);
std::vector<std::byte> encode_webp(const Image& image, const ImageText& text, std::string_view file);

Image decode_png(std::span<const std::byte> bytes, std::string_view file);
Image decode_jpeg(std::span<const std::byte> bytes, std::string_view file);
Image decode_webp(std::span<const std::byte> bytes, std::string_view file);

/// Usage error unless an Image of that size may exist.
void check_image_size(std::uint64_t width, std::uint64_t height, std::string_view file);
/// Appends RGBA pixels, laid over white, to RGB ones.
void append_over_white(std::span<const std::uint8_t> rgba, std::vector<std::uint8_t>& rgb);

}  // namespace reprise
