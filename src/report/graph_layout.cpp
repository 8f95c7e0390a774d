#include "report/graph_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace reprise::report {

namespace {

using svg::Box, svg::number, svg::Point;

constexpr double kMargin = 18, kEnd = 22;

bool has_units(const GraphDrawing& drawing) {
    return std::any_of(drawing.blocks.begin(), drawing.blocks.end(),
                       [](const auto& block) { return !block.units.empty(); });
}

/// The sides of a U: blocks up to `left` are on one, blocks from `right` on on the other.
struct Sides {
    int left = -1, right = 0;
};

/// Nothing where the blocks form no U.
std::optional<Sides> sides_of(const GraphDrawing& drawing) {
    if (drawing.skips.empty()) return {};
    Sides sides{-1, static_cast<int>(drawing.blocks.size())};
    for (const auto& [from, to] : drawing.skips) {
        sides.left = std::max(sides.left, from);
        sides.right = std::min(sides.right, to);
    }
    return sides.left < sides.right ? std::optional(sides) : std::nullopt;
}

GraphLayout u_of(const GraphDrawing& drawing, const Sides& sides) {
    GraphLayout layout;
    const double width = has_units(drawing) ? 196 : 164, between = 104, gap = 36;
    std::vector<std::size_t> downs, ups, bottom;
    for (std::size_t b = 0; b < drawing.blocks.size(); ++b) {
        const auto place = static_cast<int>(b);
        (place <= sides.left ? downs : place >= sides.right ? ups : bottom).push_back(b);
    }
    const std::size_t levels = std::max(downs.size(), ups.size());
    std::vector<double> heights(levels + 1, 0);
    const auto level_of_up = [&](std::size_t j) { return ups.size() - 1 - j; };
    const auto tall = [&](std::size_t b) { return layout.text_height + units_height(drawing.blocks[b]); };
    for (std::size_t i = 0; i < downs.size(); ++i) heights[i] = std::max(heights[i], tall(downs[i]));
    for (std::size_t j = 0; j < ups.size(); ++j)
        heights[level_of_up(j)] = std::max(heights[level_of_up(j)], tall(ups[j]));
    layout.blocks.resize(drawing.blocks.size());
    const double left = kMargin, right = kMargin + width + between, top = kEnd + gap;
    std::vector<double> tops(levels + 1, top);
    for (std::size_t l = 1; l <= levels; ++l) tops[l] = tops[l - 1] + heights[l - 1] + gap;
    for (std::size_t i = 0; i < downs.size(); ++i)
        layout.blocks[downs[i]] = {left, tops[i], width, tall(downs[i])};
    for (std::size_t j = 0; j < ups.size(); ++j)
        layout.blocks[ups[j]] = {right, tops[level_of_up(j)], width, tall(ups[j])};
    double y = tops[levels];
    for (const std::size_t b : bottom) {
        layout.blocks[b] = {(left + right) / 2, y, width, tall(b)};
        y += tall(b) + gap;
    }
    layout.latents = {left + 20, 0, width - 40, kEnd};
    layout.prediction = {right + 20, 0, width - 40, kEnd};
    layout.width = right + width + kMargin;
    layout.height = y - gap;
    return layout;
}

GraphLayout column_of(const GraphDrawing& drawing) {
    GraphLayout layout;
    layout.column = true;
    const bool many = drawing.blocks.size() > 20;
    layout.text_height = many ? 17 : 24;
    const double width = 322, gap = many ? 9 : 14;
    layout.latents = {kMargin + 40, 0, width - 80, kEnd};
    double y = kEnd + gap;
    for (const auto& block : drawing.blocks) {
        const double height = layout.text_height + units_height(block);
        layout.blocks.push_back({kMargin, y, width, height});
        y += height + gap;
    }
    layout.prediction = {kMargin + 40, y, width - 80, kEnd};
    layout.width = width + kMargin * 2 + 64;
    layout.height = y + kEnd;
    return layout;
}

Route curve(Point a, Point b, Point pull_a, Point pull_b) {
    const auto at = [&](double t) {
        const double u = 1 - t;
        const auto mix = [&](double p, double q, double r, double s) {
            return u * u * u * p + 3 * u * u * t * q + 3 * u * t * t * r + t * t * t * s;
        };
        return Point{mix(a.x, pull_a.x, pull_b.x, b.x), mix(a.y, pull_a.y, pull_b.y, b.y)};
    };
    return {fmt::format("M{} {} C{} {} {} {} {} {}", number(a.x), number(a.y), number(pull_a.x),
                        number(pull_a.y), number(pull_b.x), number(pull_b.y), number(b.x), number(b.y)),
            b, at(0.96), at(0.5)};
}

Route straight(Point a, Point b) {
    return {fmt::format("M{} {} L{} {}", number(a.x), number(a.y), number(b.x), number(b.y)),
            b,
            a,
            {(a.x + b.x) / 2, (a.y + b.y) / 2}};
}

}  // namespace

double units_height(const GraphDrawing::Block& block) {
    double height = 0;
    for (const auto& units : block.units)
        height +=
            kUnitsLabel + std::ceil(static_cast<double>(units.count) / kUnitsInRow) * (kUnitSide + kUnitGap);
    return height == 0 ? 0 : height + 6;
}

GraphLayout layout_of(const GraphDrawing& drawing) {
    const auto sides = sides_of(drawing);
    return sides ? u_of(drawing, *sides) : column_of(drawing);
}

Route route(const GraphLayout& layout, GraphDrawing::Link link) {
    const Box &from = layout.box(link.from), &to = layout.box(link.to);
    const double drop = to.y - from.bottom(), rise = from.y - to.bottom();
    if (std::abs(from.center_x() - to.center_x()) < 1) {
        const double high = std::min(from.bottom(), to.bottom()), low = std::max(from.y, to.y);
        const bool next = std::none_of(layout.blocks.begin(), layout.blocks.end(), [&](const Box& box) {
            return std::abs(box.center_x() - from.center_x()) < 1 && box.y >= high && box.bottom() <= low;
        });
        if (next && drop > 0) return straight({from.center_x(), from.bottom()}, {to.center_x(), to.y});
        if (next) return straight({from.center_x(), from.y}, {to.center_x(), to.bottom()});
        const double out = from.right() + 30;  // around what lies between
        return curve({from.right(), from.center_y()}, {to.right(), to.center_y()}, {out, from.center_y()},
                     {out, to.center_y()});
    }
    if (drop > 0 && to.x < from.right())  // from the left side of the U to its bottom
        return curve({from.center_x(), from.bottom()}, {to.x, to.center_y()},
                     {from.center_x(), from.bottom() + 34}, {to.x - 40, to.center_y()});
    if (rise > 0 && to.x < from.right())  // from the bottom to the right side
        return curve({from.right(), from.center_y()}, {to.center_x(), to.bottom()},
                     {from.right() + 40, from.center_y()}, {to.center_x(), to.bottom() + 34});
    // across: level, or a little lower or higher
    const double slant = std::clamp(to.center_y() - from.center_y(), -1.0, 1.0);
    const Point a{from.right(), from.center_y() + slant * from.height * 0.27};
    const Point b{to.x, to.center_y() - slant * to.height * 0.27};
    return curve(a, b, {a.x + 44, a.y}, {b.x - 44, b.y});
}

}  // namespace reprise::report
