#include "report/graph_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/graph_layout.h"
#include "report/svg.h"
#include "report/text.h"

namespace reprise::report {

namespace {

using svg::Box, svg::number, svg::Point;
using State = GraphDrawing::State;

constexpr double kHeader = 54, kPanelGap = 26, kMargin = 20;

constexpr const char* kStyle = R"(
svg .computed { fill: #cfe3f2; stroke: #0068a8; stroke-width: 1.8; } svg .work { fill: #cfe3f2; stroke: none; }
svg .solid { fill: #0068a8; } svg .partly { fill: #ffffff; stroke: #0068a8; stroke-width: 1.8; }
svg .reused { fill: #fff6ee; stroke: #b4530f; stroke-width: 1.8; stroke-dasharray: 6 3; }
svg .unneeded { fill: none; stroke: #8b919a; stroke-width: 1.1; stroke-dasharray: 1.5 3; }
svg .end { fill: none; stroke: #5d636c; } svg .panel { fill: #ffffff; stroke: #dfe1e4; }
svg .live { stroke: #1c1e21; stroke-width: 1.5; fill: none; } svg .live-head { fill: #1c1e21; }
svg .kept { stroke: #b4530f; stroke-width: 2; fill: none; stroke-dasharray: 6 3; } svg .kept-head { fill: #b4530f; }
svg .idle { stroke: #a9aeb5; stroke-width: 1; fill: none; stroke-dasharray: 1.5 3; }
svg .tag { fill: #ffffff; stroke: #b4530f; }
@media screen and (prefers-color-scheme: dark) {
svg .computed { fill: #143a55; stroke: #56a8e0; } svg .work { fill: #143a55; } svg .solid { fill: #56a8e0; } svg .partly { fill: #1d2024; stroke: #56a8e0; }
svg .reused { fill: #2b2019; stroke: #f0883e; } svg .unneeded { stroke: #767d87; }
svg .end { stroke: #a3aab4; } svg .panel { fill: #1d2024; stroke: #33373d; }
svg .live { stroke: #e7e8ea; } svg .live-head { fill: #e7e8ea; } svg .kept { stroke: #f0883e; } svg .kept-head { fill: #f0883e; }
svg .idle { stroke: #5b626c; } svg .tag { fill: #15171a; stroke: #f0883e; } }
)";

const char* class_of(State state) {
    switch (state) {
        case State::computed:
            return "computed";
        case State::partly:
            return "partly";
        case State::reused:
            return "reused";
        case State::unneeded:
            return "unneeded";
    }
    return "";
}

std::string words_for(const GraphDrawing::BlockState& block) {
    switch (block.state) {
        case State::computed:
            return block.detail.empty() ? "computed" : "computed, " + block.detail;
        case State::partly:
            return percent(block.share) + " computed" + (block.detail.empty() ? "" : ", " + block.detail);
        case State::reused:
            return block.detail.empty() ? "reused" : block.detail;
        case State::unneeded:
            return "not needed";
    }
    return "";
}

std::string head(Point end, Point before, const char* name) {
    const double angle = std::atan2(end.y - before.y, end.x - before.x);
    const auto corner = [&](double turn) {
        return fmt::format("{} {}", number(end.x - 7.5 * std::cos(angle + turn)),
                           number(end.y - 7.5 * std::sin(angle + turn)));
    };
    return svg::path(
        fmt::format("M{} {} L{} L{} Z", number(end.x), number(end.y), corner(0.42), corner(-0.42)),
        fmt::format("class=\"{}-head\"", name));
}

std::string units(const Box& box, double y, const GraphDrawing::Block& block,
                  const GraphDrawing::BlockState& state) {
    std::string body;
    for (std::size_t u = 0; u < block.units.size(); ++u) {
        body += svg::text({box.x + 10, y + 9}, svg::fitted(block.units[u].label, 10, box.width - 16),
                          "class=\"soft\" font-size=\"10\"");
        y += kUnitsLabel;
        const auto& all = state.units[u];
        for (std::size_t i = 0; i < all.size(); ++i) {
            const std::size_t row = i / kUnitsInRow, column = i % kUnitsInRow;
            body += svg::rect(
                {box.x + 10 + static_cast<double>(column) * (kUnitSide + kUnitGap),
                 y + static_cast<double>(row) * (kUnitSide + kUnitGap), kUnitSide - 1, kUnitSide - 1},
                fmt::format("class=\"{}{}\" style=\"stroke-width: 1.2; stroke-dasharray: {}\"",
                            class_of(all[i]), all[i] == State::computed ? " solid" : "",
                            all[i] == State::unneeded ? "1 1.5" : "none"));
        }
        y += std::ceil(static_cast<double>(all.size()) / kUnitsInRow) * (kUnitSide + kUnitGap);
    }
    return body;
}

std::string block(const GraphLayout& layout, const Box& box, const GraphDrawing::Block& named,
                  const GraphDrawing::BlockState& state) {
    const std::string words = words_for(state);
    std::string body = "<g>" + svg::rect(box, fmt::format("class=\"{}\" rx=\"6\"", class_of(state.state)),
                                         named.name + ": " + words);
    if (state.state == State::partly)
        body += svg::rect({box.x + 1, box.y + 1, (box.width - 2) * state.share, layout.text_height - 2},
                          "class=\"work\" rx=\"5\"");
    const char* soft = state.state == State::unneeded ? "class=\"soft\"" : "";
    if (layout.column) {
        const double size = layout.text_height < 20 ? 10.5 : 12,
                     y = box.y + layout.text_height / 2 + size * 0.36;
        const double room = box.width - 24 - svg::text_width(words, size - 1);
        body += svg::text({box.x + 9, y}, svg::fitted(named.name, size * 1.14, room),
                          fmt::format("{} font-size=\"{}\" font-weight=\"600\"", soft, number(size)));
        body +=
            svg::text({box.right() - 9, y}, words,
                      fmt::format("class=\"soft\" font-size=\"{}\" text-anchor=\"end\"", number(size - 1)));
    } else {
        body +=
            svg::text({box.x + 10, box.y + 14.5}, named.name, fmt::format("{} font-weight=\"600\"", soft));
        body += svg::text({box.x + 10, box.y + 28}, svg::fitted(words, 11, box.width - 14),
                          "class=\"soft\" font-size=\"11\"");
    }
    return body + units(box, box.y + layout.text_height, named, state) + "</g>\n";
}

std::string tag(Point at, std::size_t bytes) {
    const std::string text = human_bytes(static_cast<double>(bytes));
    const double width = svg::text_width(text, 10.5) + 10;
    return svg::rect({at.x - width / 2, at.y - 8, width, 16}, "class=\"tag\" rx=\"8\"",
                     "kept from an earlier step") +
           svg::text({at.x, at.y + 3.8}, text, "font-size=\"10.5\" text-anchor=\"middle\"");
}

std::string panel(const GraphDrawing& drawing, const GraphLayout& layout, const GraphDrawing::Panel& panel) {
    std::string lines, kept, tags;
    for (std::size_t l = 0; l < drawing.links.size(); ++l) {
        const auto& state = panel.links[l];
        const Route way = route(layout, drawing.links[l]);
        const char* name = state.live ? "live" : state.kept_bytes > 0 ? "kept" : "idle";
        std::string& where = state.kept_bytes > 0 ? kept : lines;
        where += svg::path(way.path, fmt::format("class=\"{}\"", name));
        if (state.live || state.kept_bytes > 0) where += head(way.end, way.before_end, name);
        if (state.kept_bytes > 0)
            tags += tag(layout.column ? Point{layout.blocks[0].right() + 34, way.middle.y} : way.middle,
                        state.kept_bytes);
    }
    std::string body =
        svg::rect({0, 0, layout.width, layout.height + kHeader + kMargin}, "class=\"panel\" rx=\"10\"");
    const double room = layout.width - 36;
    const bool several = panel.steps.find_first_of(",-") != panel.steps.npos;
    body += svg::text({18, 22}, svg::fitted((several ? "steps " : "step ") + panel.steps, 14, room),
                      "font-size=\"14\" font-weight=\"600\"");
    body += svg::text({18, 39}, svg::fitted(panel.detail, 12, room), "class=\"soft\"");
    body += fmt::format("<g transform=\"translate(0 {})\">\n", number(kHeader)) + lines + kept;
    for (const auto& [box, name] :
         {std::pair(layout.latents, "latents"), std::pair(layout.prediction, "prediction")}) {
        body += svg::rect(box, "class=\"end\" rx=\"11\"");
        body += svg::text({box.center_x(), box.center_y() + 4}, name,
                          "text-anchor=\"middle\" font-style=\"italic\"");
    }
    for (std::size_t b = 0; b < drawing.blocks.size(); ++b)
        body += block(layout, layout.blocks[b], drawing.blocks[b], panel.blocks[b]);
    return body + tags + "</g>\n";
}

/// One sample of each look, with what it means; wraps at `width`.
std::string legend(double width, double& height) {
    std::string body;
    double x = kMargin, y = 0;
    const auto room = [&](std::string_view text) {
        const double needed = 40 + svg::text_width(text, 12) + 20;
        if (x > kMargin && x + needed > width) x = kMargin, y += 24;
        const double at = x;
        x += needed;
        return at;
    };
    for (const auto& [state, text] :
         {std::pair(State::computed, "computed"), std::pair(State::partly, "computed in part"),
          std::pair(State::reused, "reused"), std::pair(State::unneeded, "not needed")}) {
        const double at = room(text);
        body += svg::rect({at, y, 30, 15}, fmt::format("class=\"{}\" rx=\"4\"", class_of(state)));
        if (state == State::partly) body += svg::rect({at + 1, y + 1, 14, 13}, "class=\"work\" rx=\"3\"");
        body += svg::text({at + 38, y + 12}, text);
    }
    for (const auto& [name, text] :
         {std::pair("live", "passes"), std::pair("kept", "is kept from an earlier step, with its bytes"),
          std::pair("idle", "does not pass")}) {
        const double at = room(text);
        body +=
            svg::path(fmt::format("M{} {} L{} {}", number(at), number(y + 8), number(at + 28), number(y + 8)),
                      fmt::format("class=\"{}\"", name));
        if (std::string_view(name) != "idle") body += head({at + 30, y + 8}, {at, y + 8}, name);
        body += svg::text({at + 38, y + 12}, text);
    }
    height = y + 24;
    return body;
}

}  // namespace

std::string graph_drawing(const GraphDrawing& drawing) {
    const GraphLayout layout = layout_of(drawing);
    const std::size_t in_row =
        std::min<std::size_t>(std::max<std::size_t>(1, drawing.panels.size()), layout.column ? 4 : 3);
    const std::size_t rows = (drawing.panels.size() + in_row - 1) / in_row;
    const double panel_height = layout.height + kHeader + kMargin;
    const double width =
        std::max(2 * kMargin + static_cast<double>(in_row) * (layout.width + kPanelGap) - kPanelGap, 560.0);
    std::string body = svg::text({kMargin, 30}, svg::fitted(drawing.title, 17, width - 2 * kMargin),
                                 "font-size=\"17\" font-weight=\"600\"");
    body +=
        svg::text({kMargin, 50}, svg::fitted(drawing.subtitle, 12, width - 2 * kMargin), "class=\"soft\"");
    double y = 70;
    for (std::size_t row = 0; row < rows; ++row, y += panel_height + kPanelGap)
        for (std::size_t p = row * in_row; p < std::min(drawing.panels.size(), (row + 1) * in_row); ++p)
            body += fmt::format(
                "<g transform=\"translate({} {})\">\n{}</g>\n",
                number(kMargin + static_cast<double>(p - row * in_row) * (layout.width + kPanelGap)),
                number(y), panel(drawing, layout, drawing.panels[p]));
    double legend_height = 0;
    body += fmt::format("<g transform=\"translate(0 {})\">\n{}</g>\n", number(y - 4),
                        legend(width, legend_height));
    return svg::document({width, y + legend_height + 8, drawing.title, drawing.subtitle, kStyle, "", true},
                         body);
}

}  // namespace reprise::report
