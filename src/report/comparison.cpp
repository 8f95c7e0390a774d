#include "report/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "io/metrics.h"
#include "report/html.h"
#include "report/text.h"
#include "reprise/error.h"

namespace reprise::report {

Spread spread_of(std::vector<double> values) {
    if (values.empty()) return {};
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    return {median, values.front(), values.back()};
}

namespace {

Spread spread_over(const std::vector<RunReport>& runs, const std::function<double(const RunReport&)>& value) {
    std::vector<double> values;
    for (const auto& run : runs) values.push_back(value(run));
    return spread_of(std::move(values));
}

constexpr int kSmallestForSsim = 11;

Distance distance(const Way& way, const Way& full) {
    if (way.images.size() != full.images.size() || way.images.empty())
        failure("{} pictures cannot be compared with {}", way.images.size(), full.images.size());
    Distance result;
    const auto count = static_cast<double>(way.images.size());
    for (std::size_t i = 0; i < way.images.size(); ++i) {
        const Image& image = way.images[i];
        result.psnr += psnr(image, full.images[i]) / count;
        result.ssim += std::min(image.width(), image.height()) < kSmallestForSsim
                           ? std::numeric_limits<double>::quiet_NaN()
                           : ssim(image, full.images[i]) / count;
        const auto row = static_cast<std::int64_t>(i);
        result.latent_error +=
            relative_error(way.latents.rows(row, row + 1), full.latents.rows(row, row + 1)) / count;
    }
    return result;
}

struct Named {
    const char* name;
    const char* style;
    const Way* way;
};

std::array<Named, 3> named(const Comparison& comparison) {
    return {{{"full", "full", &comparison.full},
             {"reused", "reused", &comparison.reused},
             {"fewer steps", "fewer", &comparison.fewer}}};
}

std::string decibels(double psnr) {
    return std::isinf(psnr) ? "equal" : fmt::format("{:.1f} dB", psnr);
}
std::string similarity(double ssim) {
    return std::isnan(ssim) ? "" : fmt::format("{:.4f}", ssim);
}
std::string range(const Spread& spread) {
    if (spread.low == spread.high) return "";
    return fmt::format("{} .. {}", human_seconds(spread.low), human_seconds(spread.high));
}

std::vector<std::vector<std::string>> table_rows(const Comparison& comparison) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, style, way] : named(comparison)) {
        const bool is_full = way == &comparison.full;
        const Spread denoise = way->denoise();
        const Spread total = way->end_to_end();
        rows.push_back({name, fmt::format("{}", way->num_steps), human_seconds(denoise.median),
                        range(denoise),
                        is_full || denoise.median == 0
                            ? ""
                            : fmt::format("{:.2f}x", comparison.full.denoise().median / denoise.median),
                        human_seconds(total.median), is_full ? "" : decibels(way->distance.psnr),
                        is_full ? "" : similarity(way->distance.ssim),
                        is_full ? "" : percent(way->distance.latent_error)});
    }
    return rows;
}

const std::vector<std::string>& table_titles() {
    static const std::vector<std::string> kTitles = {
        "",     "steps", "denoiser",      "fastest .. slowest", "speed", "all but compiling",
        "PSNR", "SSIM",  "latents off by"};
    return kTitles;
}

}  // namespace

Spread Way::denoise() const {
    return spread_over(runs, [](const RunReport& run) { return run.denoise_seconds; });
}

Spread Way::end_to_end() const {
    return spread_over(runs, [](const RunReport& run) {
        return run.text_seconds + run.denoise_seconds + run.decode_seconds;
    });
}

void Comparison::measure() {
    reused.distance = distance(reused, full);
    fewer.distance = distance(fewer, full);
}

Image contact_sheet(const Comparison& comparison) {
    std::vector<Image> pictures;
    for (std::size_t i = 0; i < comparison.full.images.size(); ++i)
        for (const auto& [name, style, way] : named(comparison)) pictures.push_back(way->images.at(i));
    return montage(pictures, {3, 8});
}

std::string to_text(const Comparison& comparison) {
    std::vector<Table::Column> columns;
    for (const auto& title : table_titles())
        columns.push_back({title, title.empty() ? Table::Align::left : Table::Align::right});
    Table table(columns);
    for (auto& row : table_rows(comparison)) table.add(std::move(row));
    return table.text();
}

nlohmann::ordered_json to_json(const Comparison& comparison) {
    using Json = nlohmann::ordered_json;
    const auto spread = [](const Spread& s) {
        return Json{{"median", s.median}, {"min", s.low}, {"max", s.high}};
    };
    Json ways = Json::object();
    for (const auto& [name, style, way] : named(comparison)) {
        Json one = {{"steps", way->num_steps},
                    {"runs", way->runs.size()},
                    {"denoise_seconds", spread(way->denoise())},
                    {"end_to_end_seconds", spread(way->end_to_end())}};
        if (way != &comparison.full) {
            const Distance& d = way->distance;
            one["psnr_db"] = std::isfinite(d.psnr) ? Json(d.psnr) : Json();  // null: equal
            one["ssim"] = std::isnan(d.ssim) ? Json() : Json(d.ssim);
            one["latent_error"] = d.latent_error;
            const double median = way->denoise().median;
            one["denoise_speedup"] = median == 0 ? Json() : Json(comparison.full.denoise().median / median);
        }
        ways[style] = std::move(one);
    }
    Json settings = Json::object();
    for (const auto& [key, value] : comparison.settings) settings[key] = value;
    return {{"settings", settings}, {"summary", comparison.summary}, {"ways", ways}};
}

namespace {

std::string pictures(const Comparison& comparison) {
    std::string html;
    const auto count = static_cast<double>(comparison.full.images.size());
    for (std::size_t i = 0; i < comparison.full.images.size(); ++i) {
        if (i < comparison.captions.size() && comparison.full.images.size() > 1)
            html += fmt::format("<h2>{}</h2>\n", escaped(comparison.captions[i]));
        html += "<div class=\"row\">\n";
        for (const auto& [name, style, way] : named(comparison)) {
            const Image& image = way->images.at(i);
            const std::string detail =
                way == &comparison.full
                    ? std::string("every step computed")
                    : fmt::format("{} from full", decibels(psnr(image, comparison.full.images.at(i))));
            html += fmt::format(
                "<figure class=\"{}{}\">{}<figcaption><b>{}</b>{} steps, {}{}<br><small>{}</small>"
                "</figcaption></figure>\n",
                style, image.width() < 256 ? " small-picture" : "",
                embedded(image, fmt::format("{}: {}", name,
                                            i < comparison.captions.size() ? comparison.captions[i] : "")),
                name, way->num_steps, human_seconds(way->denoise().median / count), count > 1 ? " each" : "",
                detail);
        }
        html += "</div>\n";
    }
    return html;
}

std::string figures(const Comparison& comparison) {
    std::string html = "<div class=\"scroll\"><table>\n<tr>";
    for (const auto& title : table_titles()) html += fmt::format("<th>{}</th>", title);
    html += "</tr>\n";
    const auto rows = table_rows(comparison);
    const auto ways = named(comparison);
    for (std::size_t r = 0; r < rows.size(); ++r) {
        html += "<tr>";
        for (std::size_t c = 0; c < rows[r].size(); ++c)
            html += c == 0 ? fmt::format("<td class=\"{}\">{}</td>", ways[r].style, rows[r][c])
                           : fmt::format("<td>{}</td>", rows[r][c]);
        html += "</tr>\n";
    }
    return html + "</table></div>\n";
}

/// A bar for each step of the reused way: how long it took, and whether it reused.
std::string step_chart(const Comparison& comparison) {
    const auto& runs = comparison.reused.runs;
    if (runs.empty() || runs.front().steps.empty()) return {};
    constexpr double kWidth = 720, kHeight = 150, kLeft = 60, kBottom = 24, kTop = 14;
    const auto count = runs.front().steps.size();
    std::vector<double> seconds;
    for (std::size_t s = 0; s < count; ++s)
        seconds.push_back(
            spread_over(runs, [&](const RunReport& run) { return run.steps.at(s).seconds; }).median);
    const double longest = *std::max_element(seconds.begin(), seconds.end());
    if (longest <= 0) return {};
    const double pitch = (kWidth - kLeft - 10) / static_cast<double>(count);
    std::string bars;
    for (std::size_t s = 0; s < count; ++s) {
        const bool reused = runs.front().steps[s].reused;
        const double height = std::max(1.0, (kHeight - kBottom - kTop) * seconds[s] / longest);
        bars += fmt::format(
            "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">"
            "<title>step {}, {}: {}</title></rect>\n",
            reused ? "reused" : "full", kLeft + pitch * static_cast<double>(s) + pitch * 0.1,
            kHeight - kBottom - height, pitch * 0.8, height, s, reused ? "reused" : "full",
            human_seconds(seconds[s]));
        if (s % std::max<std::size_t>(1, count / 20) == 0)
            bars += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                                kLeft + pitch * (static_cast<double>(s) + 0.5), kHeight - 7, s);
    }
    return fmt::format(
        "<h2>Time of each step, reused</h2>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" "
        "aria-label=\"Time of each step\">\n<text x=\"{}\" y=\"{}\" "
        "text-anchor=\"end\">{}</text>\n{}</svg>\n",
        kWidth, kHeight, kLeft - 4, kTop + 9, human_seconds(longest), bars);
}

}  // namespace

std::string to_html(const Comparison& comparison) {
    std::string body = fmt::format("<h1>{}</h1>\n<p class=\"soft\">{}</p>\n", escaped(comparison.title),
                                   escaped(comparison.summary));
    body += "<h2>Full, reused, and fewer steps in about the time of the reused</h2>\n";
    body += pictures(comparison) + figures(comparison) + step_chart(comparison);
    body += "<h2>How it was made</h2>\n<dl>\n";
    for (const auto& [key, value] : comparison.settings)
        body += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(key), escaped(value));
    return page(comparison.title, body + "</dl>\n");
}

}  // namespace reprise::report
