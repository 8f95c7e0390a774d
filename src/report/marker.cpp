#include "report/marker.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "report/svg.h"

namespace reprise::report {

namespace {

using svg::number;

/// A path through the corners of a star or polygon.
std::string corners(double x, double y, const std::vector<std::pair<double, double>>& points,
                    const std::string& attributes) {
    std::string d;
    for (const auto& [dx, dy] : points)
        d += fmt::format("{}{} {}", d.empty() ? "M" : " L", number(x + dx), number(y + dy));
    return svg::path(d + " Z", attributes);
}

}  // namespace

std::string marker(std::size_t n, double x, double y, double size, const std::string& attributes) {
    const double s = size, t = size / 3;
    switch (n % 8) {
        case 0:
            return fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {}/>\n", number(x), number(y),
                               number(s * 0.92), attributes);
        case 1:
            return svg::rect({x - s * 0.85, y - s * 0.85, s * 1.7, s * 1.7}, attributes);
        case 2:
            return corners(x, y, {{0, -s * 1.1}, {s, s * 0.75}, {-s, s * 0.75}}, attributes);
        case 3:
            return corners(x, y, {{0, -s * 1.2}, {s * 1.1, 0}, {0, s * 1.2}, {-s * 1.1, 0}}, attributes);
        case 4:
            return corners(x, y, {{0, s * 1.1}, {s, -s * 0.75}, {-s, -s * 0.75}}, attributes);
        case 5:  // a plus
            return corners(x, y,
                           {{-t, -s},
                            {t, -s},
                            {t, -t},
                            {s, -t},
                            {s, t},
                            {t, t},
                            {t, s},
                            {-t, s},
                            {-t, t},
                            {-s, t},
                            {-s, -t},
                            {-t, -t}},
                           attributes);
        case 6: {  // a star
            std::vector<std::pair<double, double>> points;
            for (int i = 0; i < 10; ++i) {
                const double angle = (i - 2.5) * std::numbers::pi / 5,
                             reach = i % 2 == 0 ? s * 1.25 : s * 0.5;
                points.emplace_back(reach * std::cos(angle), reach * std::sin(angle));
            }
            return corners(x, y, points, attributes);
        }
        default: {  // a cross
            const double a = s * 0.95, b = s * 0.4;
            return corners(x, y,
                           {{-a, -a + b},
                            {-a + b, -a},
                            {0, -b},
                            {a - b, -a},
                            {a, -a + b},
                            {b, 0},
                            {a, a - b},
                            {a - b, a},
                            {0, b},
                            {-a + b, a},
                            {-a, a - b},
                            {-b, 0}},
                           attributes);
        }
    }
}

}  // namespace reprise::report
