#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/html.h"
#include "report/labels.h"
#include "report/marker.h"
#include "report/svg.h"

namespace reprise::report {

namespace {

using svg::Box, svg::number;

/// How much wider bold text is.
constexpr double kBold = 1.14;
/// Of the range of values, between the largest and what is equal.
constexpr double kEqualRoom = 0.16;

/// A round distance between marks that makes about so many of them.
double tick_step(double range, int about) {
    const double rough = range / about, size = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 2.5, 5.0})
        if (rough <= factor * size) return factor * size;
    return 10 * size;
}

struct Axis {
    double low = 0, high = 1, from = 0, to = 1, step = 1;

    double at(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

Axis axis_over(double low, double high, double from, double to, int marks) {
    const double room = std::max(high - low, 1e-6) * 0.07;
    Axis axis{low - room, high + room, from, to, 1};
    axis.step = tick_step(axis.high - axis.low, marks);
    return axis;
}

std::string tick_text(double value, double step) {
    const int places = step >= 0.999 ? 0 : step >= 0.0999 ? 1 : step >= 0.00999 ? 2 : 3;
    const bool fine = std::abs(step * std::pow(10, places) - std::round(step * std::pow(10, places))) < 1e-6;
    return fmt::format("{:.{}f}", value, fine ? places : places + 1);
}

class Painter {
  public:
    Painter(const SpeedChart& chart, double width, bool framed)
        : chart_(chart), width_(width), framed_(framed), height_(width < 500 ? 380 : 440) {
        double low_speed = 1, high_speed = 1.2;
        double low = std::numeric_limits<double>::infinity(), high = -low;
        bool some_equal = false;
        for (const auto* group : {&chart_.points, &chart_.curve})
            for (const auto& point : *group) {
                if (!drawn(point)) continue;
                low_speed = std::min(low_speed, point.speed);
                high_speed = std::max(high_speed, point.speed);
                some_equal = some_equal || equal(point);
                if (equal(point)) continue;
                low = std::min(low, point.value - point.error);
                high = std::max(high, point.value + point.error);
            }
        const bool some_differ = low <= high;
        if (!some_differ) low = 0, high = 1;
        if (!chart_.more_is_better) low = 0;
        if (const double lacking = chart_.least_range - (high - low); lacking > 0) {
            if (chart_.more_is_better) low -= lacking / 2;
            high = low + chart_.least_range;
        }
        highest_mark_ = some_differ ? high : low - 1;
        if (some_equal) equal_ = high += kEqualRoom * (high - low);
        area_ = {54, 44, width_ - 54 - 16, height_ - 44 - 56};
        across_ = axis_over(low_speed, high_speed, area_.x, area_.right(), width_ < 500 ? 4 : 8);
        down_ = axis_over(low, high, area_.bottom(), area_.y, 6);
        if (!chart_.more_is_better) down_.low = 0;
    }

    std::string draw() {
        const char* style =
            "svg .curve { stroke: #5d636c; fill: none; stroke-width: 1.5; stroke-dasharray: 5 3; }\n"
            "svg .hollow { stroke: #5d636c; fill: #ffffff; stroke-width: 1.5; }\n"
            "svg .whisker { stroke-width: 1; opacity: 0.45; }\n"
            "@media screen and (prefers-color-scheme: dark) { svg .curve, svg .hollow { stroke: #a3aab4; } "
            "svg .hollow { fill: #1d2024; } }\n";
        const std::string body = axes() + baseline() + points() + labels();
        return svg::document(
            {width_, height_, chart_.title, described(), style + svg::colour_style(), "chart", framed_},
            body);
    }

  private:
    bool equal(const SpeedChart::Point& point) const {
        return chart_.more_is_better && point.value == std::numeric_limits<double>::infinity();
    }
    bool drawn(const SpeedChart::Point& point) const { return std::isfinite(point.value) || equal(point); }
    double level(const SpeedChart::Point& point) const { return equal(point) ? equal_ : point.value; }
    svg::Point place(const SpeedChart::Point& point) const {
        return {across_.at(point.speed), down_.at(level(point))};
    }
    /// A point's label, cut to a width.
    std::string name(const SpeedChart::Point& point, double width = 1e9) const {
        return svg::fitted(point.label, 13, width) + (equal(point) ? ", equal" : "");
    }
    std::string value_text(double value, double step) const {
        return chart_.percent ? tick_text(100 * value, 100 * step) : tick_text(value, step);
    }

    std::string described() const {
        std::string text;
        for (const auto* group : {&chart_.points, &chart_.curve})
            for (const auto& point : *group)
                if (drawn(point))
                    text += fmt::format("{}: {:.2f} times as fast, {}. ", point.label, point.speed,
                                        equal(point) ? "equal" : value_text(point.value, 0.01));
        return text;
    }

    std::string axes() const {
        std::string body = svg::rect(area_, "class=\"card\"");
        const double highest = std::isnan(equal_) ? down_.high : highest_mark_;
        for (double v = std::ceil(down_.low / down_.step) * down_.step; v <= highest; v += down_.step) {
            const double y = down_.at(v);
            body += svg::line({area_.x, y}, {area_.right(), y}, "class=\"rule\"");
            body += svg::text({area_.x - 7, y + 4}, value_text(v, down_.step),
                              "class=\"soft\" text-anchor=\"end\"");
        }
        for (double v = std::ceil(across_.low / across_.step) * across_.step; v <= across_.high;
             v += across_.step) {
            const double x = across_.at(v);
            body += svg::line({x, area_.y}, {x, area_.bottom()}, "class=\"rule\"");
            body += svg::text({x, area_.bottom() + 17}, tick_text(v, across_.step) + "×",
                              "class=\"soft\" text-anchor=\"middle\"");
        }
        body += svg::line({area_.x, area_.bottom()}, {area_.right(), area_.bottom()}, "class=\"edge\"");
        body += svg::line({area_.x, area_.y}, {area_.x, area_.bottom()}, "class=\"edge\"");
        body +=
            svg::text({area_.center_x(), height_ - 16},
                      width_ < 500 ? "speed of the denoiser" : "speed of the denoiser, times the full run's",
                      "text-anchor=\"middle\"");
        body += svg::text({12, 18}, chart_.value_axis, "");
        body += svg::text({12, 34}, chart_.more_is_better ? "↑ nearer to full" : "↓ nearer to full",
                          "class=\"soft\" font-size=\"11\"");
        return body;
    }

    std::string baseline() const {
        std::string d, circles;
        for (const auto& point : chart_.curve) {
            if (!drawn(point)) continue;
            const auto at = place(point);
            d += fmt::format("{}{} {}", d.empty() ? "M" : " L", number(at.x), number(at.y));
            circles += fmt::format(
                "<circle class=\"hollow\" cx=\"{}\" cy=\"{}\" r=\"3.5\"><title>{}</title></circle>\n",
                number(at.x), number(at.y), escaped(name(point)));
        }
        return d.empty() ? "" : svg::path(d, "class=\"curve\"") + circles;
    }

    std::string points() const {
        std::string body;
        for (std::size_t i = 0; i < chart_.points.size(); ++i) {
            const auto& point = chart_.points[i];
            if (!drawn(point)) continue;
            const auto at = place(point);
            const std::string whisker = fmt::format("class=\"whisker s{}\"", i % svg::kColours);
            const auto inside = [&](double speed) {
                return std::clamp(across_.at(speed), area_.x, area_.right());
            };
            body += svg::line({inside(point.speed_low), at.y}, {inside(point.speed_high), at.y}, whisker);
            body += svg::line({at.x, down_.at(level(point) - point.error)},
                              {at.x, down_.at(level(point) + point.error)}, whisker);
        }
        for (std::size_t i = 0; i < chart_.points.size(); ++i)
            if (drawn(chart_.points[i])) {
                const auto at = place(chart_.points[i]);
                body += marker(i, at.x, at.y, 6, fmt::format("class=\"c{}\"", i % svg::kColours));
            }
        return body;
    }

    std::string labels() const {
        std::vector<Label> wanted;
        std::vector<svg::Point> curve;
        std::vector<std::string> styles;
        for (std::size_t i = 0; i < chart_.points.size(); ++i)
            if (drawn(chart_.points[i])) {
                const std::string text = name(chart_.points[i], area_.width * 0.62);
                wanted.push_back({text, place(chart_.points[i]), svg::text_width(text, 12) * kBold, 14, 11});
                styles.push_back(fmt::format("class=\"c{}\" font-weight=\"600\"", i % svg::kColours));
            }
        for (const auto& point : chart_.curve)
            if (drawn(point)) {
                curve.push_back(place(point));
                const std::string text = name(point);
                wanted.push_back({text, curve.back(), svg::text_width(text, 10.5), 12, 7});
                styles.emplace_back("class=\"soft\" font-size=\"10.5\"");
            }
        const auto placed =
            place_labels(wanted, {area_.x + 2, area_.y + 2, area_.width - 4, area_.height - 4}, curve);
        std::string lines, texts;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const Box& box = placed[i].box;
            if (placed[i].leader) {
                const double x = std::clamp(wanted[i].at.x, box.x, box.right());
                const double y = std::clamp(wanted[i].at.y, box.y, box.bottom());
                lines += svg::line(wanted[i].at, {x, y}, "class=\"edge\" stroke-width=\"0.7\"");
            }
            texts += svg::text({box.center_x(), box.center_y() + wanted[i].height * 0.31}, wanted[i].text,
                               styles[i] + " text-anchor=\"middle\"");
        }
        return lines + texts;
    }

    const SpeedChart& chart_;
    double width_;
    bool framed_;
    double height_;
    Box area_;
    Axis across_, down_;
    double highest_mark_ = 0;                                  ///< of the values, where something is equal
    double equal_ = std::numeric_limits<double>::quiet_NaN();  ///< where that stands
};

}  // namespace

std::string speed_chart(const SpeedChart& chart, double width, bool framed) {
    return Painter(chart, width, framed).draw();
}

}  // namespace reprise::report
