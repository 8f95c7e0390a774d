#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace reprise::cachify {

/// Python's fnmatch.fnmatchcase over the whole name: `*`, `?`, `[seq]`, `[!seq]`; an unclosed `[` is itself.
bool fnmatch(std::string_view name, std::string_view pattern);

/// A function that says whether a Perl-compatible expression is found anywhere in a name (Python's
/// `re.search`). Error (usage) with the position when the expression does not compile; the function throws
/// one when the match limit is exceeded.
std::function<bool(std::string_view)> regex_search(const std::string& expression);

}  // namespace reprise::cachify
