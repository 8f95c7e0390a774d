#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace reprise {

/// Text from an untrusted file made fit for a one-line message: control characters and broken UTF-8
/// become '?', and what is longer than `limit` bytes is cut and ends in "...".
std::string printable(std::string_view text, std::size_t limit = 80);

}  // namespace reprise
