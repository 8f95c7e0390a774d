#pragma once

#include <string>
#include <string_view>

namespace reprise {

/// What the regular expressions of byte-pair tokenizers tell apart: \p{L}, \p{N}, \s, anything else.
enum class CharClass { letter, number, space, other };

// The reference tokenizer (the Rust crate behind transformers 5) classifies by Unicode 16, lower-cases by
// Unicode 17 and composes by Unicode 9. So do these, whichever Unicode version ICU has.

CharClass char_class(char32_t c);

/// True for \w of Rust's regular expressions: letters, marks, digits, connectors, joiners.
bool is_word_char(char32_t c);

/// Appends the lower case of one code point in UTF-8, without regard to its neighbours: U+0130 gives two
/// code points, and a final sigma is as any other.
void append_lower(std::string& utf8, char32_t c);

/// The text with every ill-formed sequence replaced by U+FFFD. Usage error when it is longer than 1 GiB.
std::string valid_utf8(std::string_view text);

/// Normal form C of well-formed UTF-8.
std::string compose(std::string_view utf8);

/// The text without what Python's str.strip() removes at both ends.
std::string_view strip(std::string_view utf8);

/// The code point of well-formed UTF-8 at `position`, which is moved behind it.
char32_t next_char(std::string_view utf8, std::size_t& position);
/// The code point that ends before `position`, which is moved to its start.
char32_t previous_char(std::string_view utf8, std::size_t& position);

}  // namespace reprise
