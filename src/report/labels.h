#pragma once

#include <string>
#include <vector>

#include "report/svg.h"

namespace reprise::report {

/// A text that belongs to a point of a chart.
struct Label {
    std::string text;
    svg::Point at;        ///< what it names
    double width = 0;     ///< of the text
    double height = 14;   ///< likewise
    double distance = 9;  ///< from the point's middle, at the nearest
};

struct PlacedLabel {
    svg::Box box;
    bool leader = false;  ///< whether it is so far off that a line should lead to it
};

/// Puts labels beside their points, inside `area`, where they cover neither one another, nor other points,
/// nor (if they can help it) the line through `curve`.
std::vector<PlacedLabel> place_labels(const std::vector<Label>& labels, const svg::Box& area,
                                      const std::vector<svg::Point>& curve);

}  // namespace reprise::report
