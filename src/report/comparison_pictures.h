#pragma once

#include <cstddef>
#include <string>

#include "report/comparison.h"

namespace reprise::report {

/// The part of the page that has the pictures of the first `shown` pairs: side by side, and two over one
/// another with a slider, which the page's script shows.
std::string picture_section(const Comparison& comparison, std::size_t shown);

/// A small drawing of the marker that a way has in the chart.
std::string key(const Comparison& comparison, const Way& way);
/// A name, as HTML, with places where a line may break.
std::string breakable(const std::string& name);

}  // namespace reprise::report
