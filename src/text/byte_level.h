#pragma once

#include <array>
#include <string>
#include <string_view>

namespace reprise {

/// GPT-2's alphabet: for each byte the printable character (in UTF-8) that stands for it in a vocabulary.
const std::array<std::string, 256>& byte_symbols();

/// Appends the bytes that a token stands for. A token with a character outside the alphabet stands for
/// itself.
void append_token_bytes(std::string& bytes, std::string_view token);

}  // namespace reprise
