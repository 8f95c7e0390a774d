#pragma once

#include <cstddef>
#include <string>

namespace reprise::report {

/// The n-th of the shapes that points of a chart have, around (x, y), as an SVG element with these
/// attributes. There are eight.
std::string marker(std::size_t n, double x, double y, double size, const std::string& attributes);

}  // namespace reprise::report
