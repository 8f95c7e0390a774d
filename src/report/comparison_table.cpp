#include <fmt/format.h>

#include <cmath>

#include "report/comparison.h"
#include "report/text.h"

namespace reprise::report {

using Json = nlohmann::ordered_json;

std::string decibels(double psnr) {
    return std::isinf(psnr) ? "equal" : fmt::format("{:.1f} dB", psnr);
}

std::string similarity(double ssim) {
    return std::isnan(ssim) ? "" : fmt::format("{:.4f}", ssim);
}

namespace {

std::string range(const Spread& spread) {
    if (spread.low == spread.high) return "";
    return fmt::format("{} .. {}", human_seconds(spread.low), human_seconds(spread.high));
}

std::string with_error(const Mean& mean, std::string text) {
    if (mean.error > 0 && text.ends_with(" dB"))
        return fmt::format("{:.1f} ± {:.1f} dB", mean.mean, mean.error);
    return text;
}

/// What a way gains over fewer steps in its time, in dB.
std::string gain(const Comparison& comparison, const Way& way) {
    const auto beside = comparison.fewer_at_time_of(way);
    if (!beside) return "";
    const Mean& gain = beside->psnr_gain;
    return gain.error > 0 ? fmt::format("{:+.1f} ± {:.1f} dB", gain.mean, gain.error)
                          : fmt::format("{:+.1f} dB", gain.mean);
}

std::string score_text(const std::optional<double>& score) {
    return score ? fmt::format("{:.4g}", *score) : "";
}

const char* name_of(Way::Kind kind) {
    return kind == Way::Kind::full ? "full" : kind == Way::Kind::cached ? "cached" : "fewer";
}

Json number(double value) {
    return std::isfinite(value) ? Json(value) : Json();
}

Json json_of(const Spread& s) {
    return {{"median", s.median}, {"min", s.low}, {"max", s.high}};
}

Json json_of(const Mean& m) {
    return {{"mean", number(m.mean)},
            {"standard_error", number(m.error)},
            {"min", number(m.low)},
            {"max", number(m.high)}};
}

Json steps_of(const Way& way) {
    Json steps = Json::array();
    for (const WayStep& one : way.steps()) {
        Json step = {{"seconds", one.seconds},
                     {"flops_share", one.flops_share},
                     {"variant", one.reused ? "reused" : "full"}};
        if (const std::size_t s = steps.size(); s < way.reused.size() && !way.reused[s].empty())
            step["reused"] = way.reused[s];
        steps.push_back(std::move(step));
    }
    return steps;
}

Json json_of(const Comparison& comparison, const Way& way) {
    Json one = {{"name", way.name},
                {"kind", name_of(way.kind)},
                {"steps", way.num_steps},
                {"runs", way.turns.size()},
                {"denoise_seconds", json_of(way.denoise())},
                {"end_to_end_seconds", json_of(way.end_to_end())}};
    if (way.kind == Way::Kind::cached) {
        one["cache"] = way.cache;
        one["summary"] = way.summary;
        one["kept_bytes"] = way.turns.empty() ? 0 : way.turns.front().report.kept_bytes;
        if (way.equal_steps) one["equal_time_steps"] = *way.equal_steps;
    }
    if (way.kind != Way::Kind::full) {
        one["denoise_speedup"] = json_of(way.speedup());
        one["psnr_db"] = json_of(way.distances.mean_psnr());  // null: equal
        one["ssim"] = json_of(mean_of(way.distances.ssim));
        one["latent_error"] = json_of(mean_of(way.distances.latent_error));
    }
    if (const auto beside = comparison.fewer_at_time_of(way))
        one["fewer_steps_at_equal_time"] = {{"psnr_db", number(beside->psnr)},
                                            {"ssim", number(beside->ssim)},
                                            {"latent_error", number(beside->latent_error)},
                                            {"psnr_gain_db", json_of(beside->psnr_gain)}};
    if (way.score) one["score"] = *way.score;
    one["per_step"] = steps_of(way);
    if (const auto decisions = way.decisions(); !decisions.empty()) one["decisions"] = decisions;
    return one;
}

/// A cell of CSV: quoted where it has to be.
std::string cell(std::string_view text) {
    if (text.find_first_of(",\"\n\r") == text.npos) return std::string(text);
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + "\"";
}

std::string cell(double value) {
    return std::isnan(value) ? "" : fmt::format("{:.6g}", value);  // equal pictures: "inf"
}

}  // namespace

WayTable way_table(const Comparison& comparison) {
    WayTable table;
    const bool by_cpu = comparison.clock() == Clock::cpu;
    table.titles = {"",
                    "steps",
                    by_cpu ? "denoiser, CPU" : "denoiser",
                    "fastest .. slowest",
                    "speed",
                    "all but compiling",
                    "PSNR",
                    "SSIM",
                    "latents off by",
                    "over fewer steps"};
    const bool scored = !comparison.score_title.empty();
    if (scored) table.titles.push_back(comparison.score_title);
    for (const Way* way : comparison.ways()) {
        const bool full = way->kind == Way::Kind::full;
        const Spread denoise = way->denoise();
        const Mean psnr = way->distances.mean_psnr();
        table.rows.push_back(
            {way->name, fmt::format("{}", way->num_steps), human_seconds(denoise.median), range(denoise),
             full ? "" : fmt::format("{:.2f}x", way->speedup().median),
             human_seconds(way->end_to_end().median), full ? "" : with_error(psnr, decibels(psnr.mean)),
             full ? "" : similarity(mean_of(way->distances.ssim).mean),
             full ? "" : percent(mean_of(way->distances.latent_error).mean), gain(comparison, *way)});
        if (scored) table.rows.back().push_back(score_text(way->score));
    }
    return table;
}

std::string to_text(const Comparison& comparison) {
    const WayTable content = way_table(comparison);
    std::vector<Table::Column> columns;
    for (const auto& title : content.titles)
        columns.push_back({title, title.empty() ? Table::Align::left : Table::Align::right});
    Table table(columns);
    for (const auto& row : content.rows) table.add(row);
    std::string text = table.text();
    if (comparison.clock() == Clock::cpu) text += "Times are " + clock_text(comparison) + ".\n";
    return text;
}

std::string to_csv(const Comparison& comparison) {
    std::string csv =
        "way,kind,steps,pairs,runs,denoiser_seconds,denoiser_seconds_min,denoiser_seconds_max,speedup,"
        "speedup_min,speedup_max,psnr_db,psnr_standard_error,ssim,ssim_standard_error,latent_error,"
        "latent_error_standard_error,equal_time_steps,fewer_steps_psnr_db,fewer_steps_ssim,"
        "fewer_steps_latent_error,psnr_gain_db,psnr_gain_standard_error";
    if (!comparison.score_title.empty()) csv.append(",").append(cell(comparison.score_title));
    csv += "\r\n";
    for (const Way* way : comparison.ways()) {
        const Spread denoise = way->denoise(), speedup = way->speedup();
        const bool full = way->kind == Way::Kind::full;
        std::vector<std::string> cells = {cell(way->name),
                                          name_of(way->kind),
                                          fmt::format("{}", way->num_steps),
                                          fmt::format("{}", comparison.pairs.size()),
                                          fmt::format("{}", way->turns.size()),
                                          cell(denoise.median),
                                          cell(denoise.low),
                                          cell(denoise.high),
                                          cell(speedup.median),
                                          cell(speedup.low),
                                          cell(speedup.high)};
        const Distances& d = way->distances;
        for (const Mean& mean : {d.mean_psnr(), mean_of(d.ssim), mean_of(d.latent_error)}) {
            cells.push_back(full ? "" : cell(mean.mean));
            cells.push_back(full ? "" : cell(mean.error));
        }
        cells.push_back(way->equal_steps ? fmt::format("{}", *way->equal_steps) : "");
        const auto beside = comparison.fewer_at_time_of(*way);
        cells.push_back(beside ? cell(beside->psnr) : "");
        cells.push_back(beside ? cell(beside->ssim) : "");
        cells.push_back(beside ? cell(beside->latent_error) : "");
        cells.push_back(beside ? cell(beside->psnr_gain.mean) : "");
        cells.push_back(beside ? cell(beside->psnr_gain.error) : "");
        if (!comparison.score_title.empty()) cells.push_back(way->score ? cell(*way->score) : "");
        for (std::size_t c = 0; c < cells.size(); ++c) csv += (c > 0 ? "," : "") + cells[c];
        csv += "\r\n";
    }
    return csv;
}

Json to_json(const Comparison& comparison) {
    Json ways = Json::array(), pairs = Json::array(), settings = Json::object();
    for (const Way* way : comparison.ways()) ways.push_back(json_of(comparison, *way));
    for (const auto& pair : comparison.pairs)
        pairs.push_back({{"prompt", pair.prompt}, {"seed", pair.seed}, {"number", pair.number}});
    for (const auto& [key, value] : comparison.settings) settings[key] = value;
    Json json = {{"settings", settings},
                 {"clock", comparison.clock() == Clock::wall ? "wall" : "cpu"},
                 {"waited_share", comparison.waited_share()},
                 {"ways", ways},
                 {"pairs", pairs}};
    if (!comparison.score_title.empty()) json["score"] = comparison.score_title;
    return json;
}

}  // namespace reprise::report
