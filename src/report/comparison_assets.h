#pragma once

#include <string_view>

namespace reprise::report {

/// What the page of a comparison looks like, and what it does: its slider between two pictures. The script
/// marks the document with data-ready once it has run to its end.
extern const std::string_view kComparisonStyle, kComparisonScript;

}  // namespace reprise::report
