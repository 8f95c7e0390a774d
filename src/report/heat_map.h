#pragma once

#include <string>
#include <vector>

namespace reprise::report {

/// How much blocks change from step to step, as plain values.
struct HeatMap {
    std::string title;
    std::string quantity;                     ///< what the values are, for the scale
    std::vector<std::string> names;           ///< of the rows, from the top
    std::vector<std::vector<double>> values;  ///< [row][step], 0 to 1; NaN: none, left blank
    /// [row][step]: cells with a dot, such as where a schedule reuses. Empty: none.
    std::vector<std::vector<bool>> marked = {};
    std::string mark_meaning = {};
};

/// A drawing (SVG) by itself: rows of blocks, columns of steps, light is much. The scale ends at the largest
/// value. Failure when rows differ in length.
std::string heat_map(const HeatMap& map);

}  // namespace reprise::report
