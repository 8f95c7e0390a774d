#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reprise::report {

/// What is wrong with a document as XML: tags that do not match, attributes without quotes or given twice,
/// bare ampersands. Empty when nothing is. A doctype is allowed; style and script must hold no markup.
std::string fault_of_markup(std::string_view text);

/// How often `part` is in `text`.
int count_of(std::string_view text, std::string_view part);

/// Addresses that a browser would load: in src, href, url() and @import, all but data: and fragments.
std::vector<std::string> loaded_addresses(const std::string& text);

}  // namespace reprise::report
