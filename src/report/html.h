#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "reprise/image.h"

namespace reprise::report {

/// Text for HTML content or a quoted attribute.
std::string escaped(std::string_view text);
std::string base64(std::span<const std::byte> bytes);
/// An `<img>` that carries its picture inside, as PNG.
std::string embedded(const Image& image, std::string_view alt);
/// A whole document, readable on light and dark screens, that loads nothing from elsewhere.
std::string page(std::string_view title, std::string_view body);

}  // namespace reprise::report
