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
/// An `<img>` that carries its picture inside, without loss.
std::string embedded(const Image& image, std::string_view alt);

/// A whole document that loads nothing from elsewhere, and is forbidden to.
struct Page {
    std::string_view title, style, body, script;
};
std::string document(const Page& page);

}  // namespace reprise::report
