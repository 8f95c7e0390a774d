#pragma once

#include <string>
#include <string_view>

namespace reprise {

/// The text of markup without capitals, as BeautifulSoup gives it with Python's "html.parser": without tags,
/// comments, declarations, and the contents of scripts, styles, templates and ruby annotations; character
/// references resolved.
std::string html_text(std::string_view markup);

/// Python's html.unescape for text without capitals: named and numeric character references resolved, those
/// without semicolon too.
std::string html_unescaped(std::string_view text);

/// What Windows-1252 has where Unicode has the control characters 0x80 to 0x9f; any other as it is.
char32_t windows_1252(char32_t c);

}  // namespace reprise
