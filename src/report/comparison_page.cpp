#include "report/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "io/image_resize.h"
#include "io/metrics.h"
#include "report/chart.h"
#include "report/comparison_assets.h"
#include "report/html.h"
#include "report/step_bars.h"
#include "report/svg.h"
#include "report/text.h"

namespace reprise::report {

namespace {

/// Longest sides of pictures and of frames in a page; larger ones are shrunk for it.
constexpr int kPictureSide = 512, kFrameSide = 256;
/// Pictures up to this side are shown with their pixels as squares.
constexpr int kSmallSide = 256;

/// A small drawing of the marker that a way has in the chart.
std::string key(const Comparison& comparison, const Way& way) {
    std::string shape;
    if (way.kind == Way::Kind::cached) {
        const auto index = static_cast<std::size_t>(&way - comparison.cached.data());
        shape = marker(index, 7, 7, 5.6, fmt::format("class=\"c{}\"", index % svg::kColours));
    } else if (way.kind == Way::Kind::fewer) {
        shape = "<circle class=\"hollow\" cx=\"7\" cy=\"7\" r=\"4\"/>";
    }
    return fmt::format("<svg class=\"key\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">{}</svg>", shape);
}

SpeedChart chart_of(const Comparison& comparison, int by) {
    SpeedChart chart;
    chart.title = fmt::format("Speed against {}", by == 0   ? "PSNR"
                                                  : by == 1 ? "structural similarity"
                                                            : "distance of the latents");
    chart.value_axis = by == 0   ? "PSNR from the full result (dB)"
                       : by == 1 ? "SSIM with the full result"
                                 : "latents off by (% of their length)";
    chart.more_is_better = by < 2;
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
        "is "
        "what fewer steps give; what lies on its nearer side is better than fewer steps in the same time. "
        "Thin "
        "lines: slowest to fastest run, and the standard error over pairs.</p>\n",
        tabs, drawings);
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
        html += fmt::format("<tr{}><th scope=\"row\">{}{}</th>", fewer ? " class=\"fewer\"" : "",
                            key(comparison, *ways[r]), escaped(table.rows[r][0]));
        for (std::size_t c = 1; c < table.rows[r].size(); ++c)
            html += fmt::format("<td>{}</td>", escaped(table.rows[r][c]));
        html += "</tr>\n";
    }
    return html +
           "</tbody></table></div>\n<p class=\"soft\">Times are of one picture. “Over fewer steps” is the "
           "PSNR above what the line of fewer steps has at the same measured time.</p>\n";
}

Image shrunk(const Image& image, int side) {
    const int longest = std::max(image.width(), image.height());
    if (longest <= side) return image;
    const auto scaled = [&](int length) {
        return std::max(1, static_cast<int>(std::lround(1.0 * length * side / longest)));
    };
    return resize_lanczos(image, {scaled(image.width()), scaled(image.height())});
}

/// A picture, or the frames of a video side by side in one, of which the page shows one at a time.
std::string picture(const std::vector<Image>& frames, const std::string& alt) {
    if (frames.size() == 1) {
        const Image image = shrunk(frames.front(), kPictureSide);
        return fmt::format("<span class=\"picture{}\">{}</span>",
                           image.width() <= kSmallSide ? " small-picture" : "", embedded(image, alt));
    }
    std::vector<Image> small;
    for (const auto& frame : frames) small.push_back(shrunk(frame, kFrameSide));
    return fmt::format("<span class=\"picture video\" style=\"--frames: {}\">{}</span>", frames.size(),
                       embedded(montage(small, {0, 0}), alt));
}

std::string caption_of(const Pair& pair, std::size_t pairs) {
    if (pairs == 1) return escaped(pair.prompt);
    return fmt::format("{} <small>seed {}{}</small>", escaped(pair.prompt), pair.seed,
                       pair.number > 0 ? fmt::format(", picture {}", pair.number + 1) : "");
}

std::string distance_text(const Way& way, std::size_t pair) {
    if (way.kind == Way::Kind::full) return "every step computed";
    const std::string similar = similarity(way.distances.ssim[pair]);
    return fmt::format("{}{} from full, {:.2f}×", decibels(way.distances.psnr[pair]),
                       similar.empty() ? "" : ", SSIM " + similar, way.speedup().median);
}

std::string pictures(const Comparison& comparison, std::size_t shown) {
    std::string html;
    const auto ways = comparison.shown();
    for (std::size_t p = 0; p < shown; ++p) {
        const Pair& pair = comparison.pairs[p];
        html += fmt::format("<section class=\"pair\"><h3>{}</h3>\n<div class=\"strip\">\n",
                            caption_of(pair, comparison.pairs.size()));
        for (std::size_t w = 0; w < ways.size(); ++w)
            html += fmt::format(
                "<figure data-pair=\"{}\" data-way=\"{}\">{}<figcaption><b>{}{}</b><small>{}</small>"
                "</figcaption></figure>\n",
                p, w, picture(ways[w]->made[p].frames, fmt::format("{}: {}", ways[w]->name, pair.prompt)),
                ways[w]->kind == Way::Kind::full ? "" : key(comparison, *ways[w]), escaped(ways[w]->name),
                distance_text(*ways[w], p));
        html += "</div></section>\n";
    }
    return html;
}

/// Two pictures over one another, with a slider; shown by the script alone.
std::string viewer(const Comparison& comparison, std::size_t shown) {
    std::string pairs, ways;
    for (std::size_t p = 0; p < shown; ++p)
        pairs += fmt::format(
            "<option value=\"{}\">{}, seed {}{}</option>", p, escaped(comparison.pairs[p].prompt),
            comparison.pairs[p].seed,
            comparison.pairs[p].number > 0 ? fmt::format(" ({})", comparison.pairs[p].number + 1) : "");
    const auto all = comparison.shown();
    for (std::size_t w = 1; w < all.size(); ++w)
        ways += fmt::format("<option value=\"{}\">{}</option>", w, escaped(all[w]->name));
    return fmt::format(
        "<div class=\"viewer card\" id=\"viewer\" hidden=\"hidden\">\n<div><div class=\"stage\"><div "
        "class=\"under\"></div><div class=\"over\"></div><div class=\"bar\"></div></div>\n"
        "<input type=\"range\" min=\"0\" max=\"100\" value=\"50\" aria-label=\"Where the full picture ends "
        "and the "
        "other begins\"/>\n<div class=\"ends\"><span>full</span><span class=\"right\"></span></div></div>\n"
        "<div class=\"controls\"><label>Picture<select name=\"pair\">{}</select></label>\n"
        "<div class=\"turn\"><button type=\"button\" class=\"before\">← before</button><button "
        "type=\"button\" "
        "class=\"after\">next →</button></div>\n<label>Beside full<select name=\"way\">{}</select></label>\n"
        "<p class=\"distance\" aria-live=\"polite\"></p>\n<label class=\"tick\"><input type=\"checkbox\" "
        "name=\"differing\"/>show the difference instead</label></div>\n</div>\n",
        pairs, ways);
}

std::string picture_section(const Comparison& comparison, std::size_t shown) {
    const bool video = comparison.full.made.front().frames.size() > 1;
    std::string html = "<h2>Pictures</h2>\n";
    if (shown < comparison.pairs.size())
        html += fmt::format(
            "<p class=\"soft\">{} of {} pairs of prompt and seed; the figures above are of all.</p>\n", shown,
            comparison.pairs.size());
    if (video)
        html +=
            "<p><label><input type=\"checkbox\" id=\"play\" checked=\"checked\"/> play the "
            "frames</label></p>\n";
    return html + viewer(comparison, shown) + pictures(comparison, shown);
}

std::string steps(const Comparison& comparison) {
    std::vector<StepBars> all;
    double top = 0;
    for (const Way* way : comparison.ways()) {
        if (way->kind == Way::Kind::fewer || way->turns.empty()) continue;
        StepBars bars{way->name, 0, {}};
        const auto& first = way->turns.front().report.steps;
        for (std::size_t s = 0; s < first.size(); ++s) {
            std::vector<double> seconds;
            for (const auto& turn : way->turns)
                seconds.push_back(turn.report.steps.at(s).seconds / way->calls_pictures);
            const double median = spread_of(std::move(seconds)).median;
            top = std::max(top, median);
            bars.steps.push_back({median, first[s].flops_share, first[s].reused,
                                  s < way->reused.size() ? way->reused[s] : ""});
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
        html += fmt::format("<dt>{}</dt><dd>{}. <span class=\"soft\">{}</span></dd>\n", escaped(way.name),
                            escaped(way.summary), escaped(way.cache));
    return html + "</dl>\n";
}

std::string lead(const Comparison& comparison) {
    const Way* best = nullptr;
    for (const auto& way : comparison.cached)
        if (best == nullptr || way.speedup().median > best->speedup().median) best = &way;
    std::string text = fmt::format("{} pair{} of prompt and seed, {} steps in full", comparison.pairs.size(),
                                   comparison.pairs.size() == 1 ? "" : "s", comparison.full.num_steps);
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
