#include "report/heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "report/svg.h"
#include "reprise/error.h"

namespace reprise::report {

namespace {

using svg::Box, svg::number, svg::Point;

/// Stops of cividis (Nuñez, Anderton and Renslow, 2018): dark to light in grey too, the same to the
/// colour-blind.
constexpr std::array<std::array<double, 3>, 6> kStops = {
    {{0, 34, 78}, {52, 69, 107}, {105, 109, 113}, {151, 145, 117}, {206, 188, 96}, {254, 232, 56}}};

std::string colour(double share) {
    const double at = std::clamp(share, 0.0, 1.0) * (kStops.size() - 1);
    const auto low = std::min(static_cast<std::size_t>(at), kStops.size() - 2);
    const double part = at - static_cast<double>(low);
    std::array<int, 3> mixed{};
    for (std::size_t c = 0; c < 3; ++c)
        mixed[c] =
            static_cast<int>(std::lround(kStops[low][c] + part * (kStops[low + 1][c] - kStops[low][c])));
    return fmt::format("#{:02x}{:02x}{:02x}", mixed[0], mixed[1], mixed[2]);
}

/// Beyond this many, cells have no tooltips: a page has to open.
constexpr std::size_t kMostTooltips = 6000;

class Painter {
  public:
    explicit Painter(const HeatMap& map) : map_(map) {
        steps_ = map.values.empty() ? 0 : map.values.front().size();
        for (const auto& row : map.values) {
            if (row.size() != steps_)
                failure("a heat map has rows of {} and of {} steps", steps_, row.size());
            for (const double value : row)
                if (std::isfinite(value)) top_ = std::max(top_, value);
        }
        if (map.names.size() != map.values.size())
            failure("a heat map has {} names for {} rows", map.names.size(), map.values.size());
        if (top_ == 0) top_ = 1;
        cell_.width = std::clamp(760.0 / static_cast<double>(std::max<std::size_t>(1, steps_)), 5.0, 30.0);
        cell_.height = map.names.size() > 48 ? 12 : map.names.size() > 24 ? 16 : 20;
        font_ = std::min(12.0, cell_.height - 2);
        for (const auto& name : map.names) left_ = std::max(left_, svg::text_width(name, font_) + 14);
        left_ = std::min(left_, 340.0);
    }

    std::string draw() const {
        const double width = std::max(left_ + across() + 24, 420.0);
        const double height = kTop + down() + 88;
        svg::Drawing drawing{width,
                             height,
                             map_.title,
                             fmt::format("{} by block and step, up to {:.2f}", map_.quantity, top_),
                             "svg .dot { fill: #ffffff; stroke: #000000; }\n",
                             ""};
        return svg::document(
            drawing, svg::text({20, 28}, map_.title, "font-size=\"15\" font-weight=\"600\"") + rows() +
                         steps() + scale());
    }

  private:
    static constexpr double kTop = 48;
    double across() const { return cell_.width * static_cast<double>(steps_); }
    double down() const { return cell_.height * static_cast<double>(map_.names.size()); }

    bool marked(std::size_t row, std::size_t step) const {
        return row < map_.marked.size() && step < map_.marked[row].size() && map_.marked[row][step];
    }

    std::string rows() const {
        std::string body;
        const bool tooltips = steps_ * map_.names.size() <= kMostTooltips;
        for (std::size_t r = 0; r < map_.names.size(); ++r) {
            const double y = kTop + cell_.height * static_cast<double>(r);
            body += svg::text({left_ - 6, y + cell_.height / 2 + font_ * 0.35},
                              svg::fitted(map_.names[r], font_, left_ - 12),
                              fmt::format("text-anchor=\"end\" font-size=\"{}\"", number(font_)));
            for (std::size_t s = 0; s < steps_; ++s) {
                const double value = map_.values[r][s];
                const Box box{left_ + cell_.width * static_cast<double>(s), y, cell_.width - 0.8,
                              cell_.height - 0.8};
                if (std::isfinite(value))
                    body += svg::rect(box, fmt::format("fill=\"{}\"", colour(value / top_)),
                                      tooltips ? fmt::format("{}, step {}: {:.3f}{}", map_.names[r], s, value,
                                                             marked(r, s) ? ", " + map_.mark_meaning : "")
                                               : "");
                if (marked(r, s))
                    body += fmt::format("<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>\n",
                                        number(box.center_x()), number(box.center_y()),
                                        number(std::min(cell_.width, cell_.height) * 0.18));
            }
        }
        return body;
    }

    std::string steps() const {
        std::string body;
        const auto every = static_cast<std::size_t>(std::ceil(22 / cell_.width));
        for (std::size_t s = 0; s < steps_; s += every)
            body += svg::text({left_ + cell_.width * (static_cast<double>(s) + 0.5), kTop + down() + 15},
                              fmt::format("{}", s), "class=\"soft\" text-anchor=\"middle\" font-size=\"11\"");
        return body + svg::text({left_ + across() / 2, kTop + down() + 32}, "step",
                                "class=\"soft\" text-anchor=\"middle\"");
    }

    std::string scale() const {
        constexpr int kPieces = 40;
        const double y = kTop + down() + 50, width = 200;
        std::string body = svg::text({20, y + 11}, "0", "class=\"soft\"");
        for (int i = 0; i < kPieces; ++i)
            body += svg::rect({34 + width / kPieces * i, y, width / kPieces + 0.4, 14},
                              fmt::format("fill=\"{}\"", colour(i / (kPieces - 1.0))));
        body += svg::text({40 + width, y + 11}, fmt::format("{:.2g}   {}", top_, map_.quantity),
                          "class=\"soft\"");
        if (!map_.marked.empty()) {
            const double x = 40 + width + svg::text_width(map_.quantity, 12) + 70;
            body += fmt::format("<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"4\"/>\n", number(x),
                                number(y + 7));
            body += svg::text({x + 10, y + 11}, map_.mark_meaning, "class=\"soft\"");
        }
        return body;
    }

    const HeatMap& map_;
    std::size_t steps_ = 0;
    double top_ = 0, left_ = 60, font_ = 12;
    Box cell_;
};

}  // namespace

std::string heat_map(const HeatMap& map) {
    return Painter(map).draw();
}

}  // namespace reprise::report
