#include "report/labels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace reprise::report {

namespace {

using svg::Box, svg::Point;

constexpr double kGap = 2;

Box grown(const Box& box, double by) {
    return {box.x - by, box.y - by, box.width + 2 * by, box.height + 2 * by};
}

/// The length of the part of a line that lies within a box (Liang and Barsky).
double length_within(const Box& box, Point a, Point b) {
    double from = 0, to = 1;
    const double dx = b.x - a.x, dy = b.y - a.y;
    const auto clip = [&](double slope, double room) {
        if (slope == 0) return room >= 0;
        const double at = room / slope;
        if (slope < 0)
            from = std::max(from, at);
        else
            to = std::min(to, at);
        return from < to;
    };
    const bool crosses = clip(-dx, a.x - box.x) && clip(dx, box.right() - a.x) && clip(-dy, a.y - box.y) &&
                         clip(dy, box.bottom() - a.y);
    return crosses ? (to - from) * std::hypot(dx, dy) : 0;
}

struct Candidate {
    Box box;
    double far = 0;          ///< how much farther off than need be
    double cost = 0;         ///< of all that does not move
    bool ambiguous = false;  ///< whether another point is as near as its own
};

double distance(const Box& box, Point point) {
    return std::hypot(point.x - std::clamp(point.x, box.x, box.right()),
                      point.y - std::clamp(point.y, box.y, box.bottom()));
}

std::vector<Candidate> candidates_of(const Label& label) {
    const double width = label.width, height = label.height;
    std::vector<Candidate> all;
    constexpr int kDirections = 16;
    for (const double far : {0.0, 8.0, 18.0, 32.0, 50.0, 75.0, 105.0})
        for (int d = 0; d < kDirections; ++d) {
            const double angle = 2 * std::numbers::pi * d / kDirections;
            const double reach = label.distance + far;
            const double across = std::cos(angle), down = std::sin(angle);
            // the box touches a circle around the point, from outside
            const double x = label.at.x + reach * across +
                             width / 2 *
                                 (std::abs(across) < 0.2 ? 0
                                  : across > 0           ? 1
                                                         : -1);
            const double y = label.at.y + reach * down + height / 2 * down;
            all.push_back({{x - width / 2, y - height / 2, width, height}, far, 0, false});
        }
    return all;
}

}  // namespace

std::vector<PlacedLabel> place_labels(const std::vector<Label>& labels, const Box& area,
                                      const std::vector<Point>& curve) {
    constexpr double kOverlap = 40, kOutside = 400, kCurve = 14, kFar = 3, kSide = 4, kAmbiguous = 120;
    std::vector<std::vector<Candidate>> candidates;
    for (const Label& label : labels) {
        candidates.push_back(candidates_of(label));
        for (Candidate& candidate : candidates.back()) {
            const Box box = grown(candidate.box, kGap);
            candidate.cost = kFar * candidate.far;
            if (std::abs(candidate.box.center_x() - label.at.x) < 1) candidate.cost += kSide;
            const double inside = box.overlap(area);
            candidate.cost += kOutside * (box.width * box.height - inside);
            for (const Label& other : labels)
                if (&other != &label &&
                    distance(candidate.box, other.at) < distance(candidate.box, label.at) + 2)
                    candidate.ambiguous = true;
            if (candidate.ambiguous) candidate.cost += kAmbiguous;
            for (const Label& other : labels)
                if (&other != &label)
                    candidate.cost += kOverlap * box.overlap({other.at.x - 6, other.at.y - 6, 12, 12});
            for (std::size_t i = 1; i < curve.size(); ++i)
                candidate.cost += kCurve * length_within(box, curve[i - 1], curve[i]);
        }
    }
    // Each in turn goes where it costs least beside the others as they lie, until none moves.
    std::vector<std::size_t> chosen(labels.size(), 0);
    std::vector<bool> placed(labels.size(), false);
    constexpr int kMostRounds = 20;
    bool moved = true;
    for (int round = 0; round < kMostRounds && moved; ++round) {
        moved = false;
        for (std::size_t i = 0; i < labels.size(); ++i) {
            std::size_t best = chosen[i];
            double least = std::numeric_limits<double>::infinity();
            for (std::size_t c = 0; c < candidates[i].size(); ++c) {
                double cost = candidates[i][c].cost;
                for (std::size_t j = 0; j < labels.size(); ++j)
                    if (j != i && placed[j])
                        cost += kOverlap *
                                grown(candidates[i][c].box, kGap).overlap(candidates[j][chosen[j]].box);
                if (cost < least - 1e-9) {
                    least = cost;
                    best = c;
                }
            }
            moved = moved || !placed[i] || best != chosen[i];
            chosen[i] = best;
            placed[i] = true;
        }
    }
    std::vector<PlacedLabel> result;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const Candidate& candidate = candidates[i][chosen[i]];
        result.push_back({candidate.box, candidate.far > 10 || candidate.ambiguous});
    }
    return result;
}

}  // namespace reprise::report
