#pragma once

#include <string>
#include <vector>

namespace reprise::report {

/// Ways of making the same pictures, by speed and by distance from the full result.
struct SpeedChart {
    struct Point {
        std::string label;
        double speed = 1, speed_low = 1, speed_high = 1;  ///< times the full run's
        double value = 0, error = 0;                      ///< distance and its standard error
    };
    std::string title;
    std::string value_axis;  ///< with its unit: "PSNR from the full result (dB)"
    bool more_is_better = true;
    double least_range = 0;     ///< of the value axis, so that little differences look little
    bool percent = false;       ///< values are shares, shown times 100
    std::vector<Point> points;  ///< each with a shape and colour of its own
    std::vector<Point> curve;   ///< the baseline, joined by a line, by speed
    std::string curve_label;
};

/// A drawing (SVG), `width` units across: points named beside them, whiskers for speed (smallest to largest)
/// and value (standard error). Where more is better infinity, which PSNR has for equal pictures, stands above
/// all others and is called equal; other values that are not finite are left out. `framed`: on a background
/// of its own.
std::string speed_chart(const SpeedChart& chart, double width, bool framed);

}  // namespace reprise::report
