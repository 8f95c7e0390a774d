#include "report/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "report/chart.h"
#include "report/comparison_assets.h"
#include "report/comparison_pictures.h"
#include "report/html.h"
#include "report/step_bars.h"

namespace reprise::report {

namespace {

SpeedChart chart_of(const Comparison& comparison, int by) {
    SpeedChart chart;
    chart.title = fmt::format("Speed against {}", by == 0   ? "PSNR"
                                                  : by == 1 ? "structural similarity"
                                                            : "distance of the latents");
    chart.value_axis = by == 0   ? "PSNR from the full result (dB)"
                       : by == 1 ? "SSIM with the full result"
                                 : "latents off by (% of their length)";
    chart.more_is_better = by < 2;
    chart.least_range = by == 0 ? 4 : 0.02;
    chart.percent = by == 2;
    chart.curve_label = "fewer steps";
    const auto point = [&](const Way& way) {
        const Distances& d = way.distances;
        const Mean mean = by == 0 ? d.mean_psnr() : mean_of(by == 1 ? d.ssim : d.latent_error);
        const Spread speed = way.speedup();
        return SpeedChart::Point{way.name, speed.median, speed.low, speed.high, mean.mean, mean.error};
    };
    for (const auto& way : comparison.cached) chart.points.push_back(point(way));
    for (const auto& way : comparison.fewer) chart.curve.push_back(point(way));
    std::sort(chart.curve.begin(), chart.curve.end(),
              [](const auto& a, const auto& b) { return a.speed < b.speed; });
    return chart;
}

std::string with_class(std::string drawing, std::string_view name) {
    const std::string_view mark = "class=\"chart";
    drawing.insert(drawing.find(mark) + mark.size(), fmt::format(" {}", name));
    return drawing;
}

std::string charts(const Comparison& comparison) {
    std::string tabs, drawings;
    const char* names[] = {"PSNR", "SSIM", "latents"};
    for (int by = 0; by < 3; ++by) {
        tabs += fmt::format(
            "<input type=\"radio\" name=\"by\" id=\"by{0}\"{1}/><label for=\"by{0}\">{2}</label>\n", by,
            by == 0 ? " checked=\"checked\"" : "", names[by]);
        const SpeedChart chart = chart_of(comparison, by);
        drawings += fmt::format("<div class=\"chosen chosen{}\">{}{}</div>\n", by,
                                with_class(speed_chart(chart, 880, false), "wide"),
                                with_class(speed_chart(chart, 380, false), "narrow"));
    }
    return fmt::format(
        "<h2>Speed against distance</h2>\n<div class=\"charts\">\n<fieldset class=\"tabs\" "
        "aria-label=\"Distance\">{}</fieldset>\n{}</div>\n<p class=\"soft\">Right is faster. The dashed line "
        "is what "
        "fewer steps give: a way beyond it, towards “nearer to full”, beats fewer steps in the same time. "
        "Thin "
        "lines reach from the slowest run to the fastest, and over the standard error of the mean.</p>\n",
        tabs, drawings);
}

/// A cell, as HTML, of which a line may break only before ".." and "±".
std::string cell(const std::string& text) {
    std::istringstream words(escaped(text));
    std::string html;
    for (std::string word; words >> word; html += word)
        if (!html.empty()) html += word == ".." || word == "±" ? " " : "&#160;";
    return html;
}

std::string figures(const Comparison& comparison) {
    const WayTable table = way_table(comparison);
    std::string html =
        "<h2>In figures</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
        "aria-label=\"Table of all ways\"><table>\n<thead><tr>";
    for (const auto& title : table.titles)
        html += fmt::format("<th scope=\"col\">{}</th>", title.empty() ? "way" : escaped(title));
    html += "</tr></thead>\n<tbody>\n";
    const auto ways = comparison.ways();
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
        const bool fewer = ways[r]->kind == Way::Kind::fewer;
        html += fmt::format("<tr{}><th scope=\"row\">{}&#8288;{}</th>", fewer ? " class=\"fewer\"" : "",
                            key(comparison, *ways[r]), breakable(table.rows[r][0]));
        for (std::size_t c = 1; c < table.rows[r].size(); ++c)
            html += fmt::format("<td>{}</td>", cell(table.rows[r][c]));
        html += "</tr>\n";
    }
    return html + "</tbody></table></div>\n<p class=\"soft\">Times are of one picture" +
           (comparison.clock() == Clock::cpu ? ", " + escaped(clock_text(comparison)) : std::string()) +
           ". “Over fewer steps” is the "
           "PSNR above what the line of fewer steps has at the same measured time, pair by pair. After ±: "
           "the "
           "standard error of a mean over pairs.</p>\n";
}

std::string steps(const Comparison& comparison) {
    std::vector<StepBars> all;
    double top = 0;
    for (const Way* way : comparison.ways()) {
        if (way->kind == Way::Kind::fewer || way->turns.empty()) continue;
        StepBars bars{way->name, 0, {}};
        for (const WayStep& step : way->steps()) {
            const std::size_t s = bars.steps.size();
            top = std::max(top, step.seconds);
            bars.steps.push_back({step.seconds, step.flops_share, step.reused,
                                  step.reused && s < way->reused.size() ? way->reused[s] : ""});
        }
        all.push_back(std::move(bars));
    }
    std::string html =
        "<h2>Step by step</h2>\n<p class=\"soft\">Above, the time of each step of one picture, on one "
        "scale; below, how much of a full step was computed (solid) and reused (hollow).</p>\n"
        "<div class=\"bars\">\n";
    for (auto& bars : all) {
        bars.top_seconds = top;
        html += "<div>" + step_bars(bars, false) + "</div>\n";
    }
    return html + "</div>\n";
}

std::string settings(const Comparison& comparison) {
    std::string html = "<h2>How it was made</h2>\n<dl>\n";
    for (const auto& [name, value] : comparison.settings)
        html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
    for (const auto& way : comparison.cached)
        html += fmt::format("<dt>{}</dt><dd>{}. <span class=\"soft\">{}</span></dd>\n", breakable(way.name),
                            escaped(way.summary), escaped(way.cache));
    return html + "</dl>\n";
}

std::string lead(const Comparison& comparison) {
    const Way* best = nullptr;
    for (const auto& way : comparison.cached)
        if (best == nullptr || way.speedup().median > best->speedup().median) best = &way;
    const bool video = comparison.full.made.front().frames.size() > 1;
    std::string text = fmt::format("{} pair{} of {} and seed, {} steps in full", comparison.pairs.size(),
                                   comparison.pairs.size() == 1 ? "" : "s", video ? "picture" : "prompt",
                                   comparison.full.num_steps);
    if (comparison.cached.size() == 1)
        text += fmt::format("; {} is {:.2f} times as fast: {}", best->name, best->speedup().median,
                            best->summary);
    else if (best != nullptr)
        text += fmt::format("; {} ways of reuse, up to {:.2f} times as fast", comparison.cached.size(),
                            best->speedup().median);
    return text + ".";
}

}  // namespace

std::string to_html(const Comparison& comparison, std::size_t most_pairs) {
    const std::size_t shown = std::min(most_pairs, comparison.pairs.size());
    const std::string body =
        fmt::format("<h1>{}</h1>\n<p>{}</p>\n", escaped(comparison.title), escaped(lead(comparison))) +
        charts(comparison) + figures(comparison) + picture_section(comparison, shown) + steps(comparison) +
        settings(comparison);
    return document({comparison.title, kComparisonStyle, body, kComparisonScript});
}

}  // namespace reprise::report
