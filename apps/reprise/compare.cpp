#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "commands.h"
#include "compare/bout.h"
#include "compare_outputs.h"
#include "options/names.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/comparison_page.h"
#include "reprise/error.h"
#include "session.h"

namespace reprise::app {

namespace {

struct Options {
    ModelOptions model;
    PromptOptions prompts;
    AnimationOptions animation;
    SamplingOptions sampling;
    OutputOptions output;
    std::vector<std::string> caches;
    std::string count = "steps", seeds;
    int runs = 0, shown = 12;
    std::vector<int> fewer;
    std::string out, report, csv, pictures, score;
};

/// "0,1,2": these; "4": so many from --seed on.
std::vector<std::uint64_t> seeds_of(const Options& o) {
    if (o.seeds.empty()) return {o.sampling.seed()};
    std::vector<std::uint64_t> seeds;
    for (std::size_t begin = 0; begin <= o.seeds.size();) {
        const auto end = std::min(o.seeds.find(',', begin), o.seeds.size());
        std::uint64_t value = 0;
        if (!CLI::detail::lexical_cast(o.seeds.substr(begin, end - begin), value) || o.seeds[begin] == '-')
            usage_error("--seeds {}: expected a count, or seeds with commas between", o.seeds);
        seeds.push_back(value);
        begin = end + 1;
    }
    constexpr std::uint64_t kMost = 10000;
    if (seeds.size() == 1) {
        const std::uint64_t count = seeds.front();
        if (count < 1 || count > kMost)
            usage_error("--seeds {}: expected a count from 1 to {}, or seeds with commas between", o.seeds,
                        kMost);
        seeds.clear();
        for (std::uint64_t i = 0; i < count; ++i) seeds.push_back(o.sampling.seed() + i);
    }
    if (std::set<std::uint64_t>(seeds.begin(), seeds.end()).size() < seeds.size())
        usage_error("--seeds {}: a seed is given twice", o.seeds);
    return seeds;
}

std::vector<report::Contestant> contestants_of(const Options& o, Context& context, Session& session,
                                               const GenerateOptions& options) {
    std::vector<report::Contestant> contestants;
    const auto names = cache_names(o.caches);
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (o.caches[i] == "off")
            usage_error("--cache off: compare needs a configuration to compare with the full run");
        std::string chosen;
        auto config =
            cache_config(o.caches[i], session.pipe.implementation(), options, [&](const std::string& line) {
                chosen = line;
            }).value_or(cachify::Config{});
        if (!chosen.empty() && config.empty())
            usage_error("--cache {}: {}; compare needs something that is reused", o.caches[i], chosen);
        if (!chosen.empty()) context.terminal.note("cache " + chosen);
        contestants.push_back({names[i], std::move(config)});
    }
    return contestants;
}

ComparisonPlaces all_places(const Options& o) {
    if (!o.score.empty() && o.pictures.empty() && o.out.empty())
        usage_error("--score reads the pictures: give --pictures FOLDER or --out FOLDER");
    const bool elsewhere = !o.report.empty() || !o.csv.empty() || !o.pictures.empty();
    ComparisonPlaces places;
    if (!o.out.empty() || !elsewhere) places = places_of(o.out.empty() ? "comparison" : o.out);
    if (!o.report.empty()) places.page = o.report;
    if (!o.csv.empty()) places.csv = o.csv;
    if (!o.pictures.empty()) places.pictures = o.pictures;
    places.check();
    return places;
}

report::BoutOptions bout_options(const Options& o) {
    report::BoutOptions bout;
    bout.base = o.sampling.generate_options();
    auto subjects = apply_what_to_draw(o.prompts, o.animation, bout.base);
    bout.pictures = std::move(subjects.images);
    bout.prompts = o.animation.given() ? o.animation.names() : o.prompts.prompts();
    bout.count = options::value_of<cachify::Count>(o.count, "--count");
    bout.seeds = seeds_of(o);
    if (o.runs > 0) bout.runs = o.runs;
    if (!o.fewer.empty()) bout.fewer = o.fewer;
    return bout;
}

/// Everything that goes to files but single pictures.
std::vector<std::string> write(const ComparisonPlaces& places, const report::Comparison& comparison,
                               const nlohmann::ordered_json& json, std::size_t shown) {
    Outputs files;
    if (!places.sheet.empty()) files.add(places.sheet, report::contact_sheet(comparison, shown), {});
    if (!places.page.empty()) files.add(places.page, report::to_html(comparison, shown));
    if (!places.csv.empty()) files.add(places.csv, report::to_csv(comparison));
    if (!places.json.empty()) files.add(places.json, json_text(json, 1));
    files.commit();
    return files.names();
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    const MemoryWatch memory;
    auto options = bout_options(o);
    const auto prompts = options.prompts;
    Session session(context, o.model.kept());
    options.contestants = contestants_of(o, context, session, options.base);
    report::Bout bout(session.pipe, std::move(options),
                      [&](const GenerateOptions& call, const std::string& label) {
                          return session.run(context, call, label);
                      });
    const ComparisonPlaces places = all_places(o);
    if (bout.one_cut())
        context.terminal.note("the full runs go over the same compiled pieces, for the weights are large");
    report::Comparison comparison = bout.run();
    comparison.settings.emplace_back("version", REPRISE_VERSION);

    std::vector<std::string> pictures;
    if (!places.pictures.empty()) pictures = write_pictures(comparison, places.pictures);
    std::exception_ptr unscored;  // thrown once everything that was measured is written
    try {
        if (!o.score.empty()) score(comparison, o.score, places.pictures);
    } catch (const Error&) {
        unscored = std::current_exception();
    }
    auto json = report::to_json(comparison);
    json[o.animation.given() ? "image" : "prompts"] = prompts;
    json["memory"] = to_json(memory);
    auto files = write(places, comparison, json, static_cast<std::size_t>(o.shown));
    if (unscored) std::rethrow_exception(unscored);

    for (const auto& way : comparison.cached) context.terminal.note(way.name + ": " + way.summary);
    if (o.output.json) {
        files.insert(files.end(), pictures.begin(), pictures.end());
        json["files"] = files;
        print(json_text(json));
        return;
    }
    std::string text = report::to_text(comparison) + "\n" + lines(files);
    if (!pictures.empty()) text += fmt::format("{} and {} pictures\n", pictures.back(), pictures.size() - 1);
    print(text);
}

void add_comparison_options(CLI::App& command, Options& options) {
    const auto group = [](CLI::Option* option) { return option->group("Comparison"); };
    group(command.add_option("--seeds", options.seeds,
                             "Seeds with commas between, or how many from --seed on (default: --seed alone)"))
        ->type_name("N,...|COUNT");
    group(command.add_option(
              "--runs", options.runs,
              "Measured runs of each way, prompt and seed, by turns, after one to warm up (default: 3 for "
              "one, 2 for two, else 1)"))
        ->check(at_least(1))
        ->type_name("N");
    group(
        command.add_option("--fewer-steps", options.fewer,
                           "Numbers of steps to compare with (default: one of about equal time for each way, "
                           "and some that make a curve)"))
        ->delimiter(',')
        ->type_name("N,...");
    group(command.add_option(
              "--score", options.score,
              "A command that is given the folder of pictures and prints JSON with a figure for "
              "each way, which becomes a column: {\"title\": ..., \"ways\": {\"full\": 0.9, ...}}"))
        ->type_name("COMMAND");
    const auto output = [](CLI::Option* option) { return option->group("Output"); };
    output(command.add_option(
               "--out", options.out,
               "Folder for everything, or a .png, beside which the page is put (default: comparison, "
               "if no other place is given)"))
        ->type_name("FOLDER|FILE.png");
    output(command.add_option("--report", options.report, "The page, which carries all that it shows"))
        ->type_name("FILE.html");
    output(command.add_option("--csv", options.csv, "The table, in numbers without units"))
        ->type_name("FILE.csv");
    output(command.add_option("--pictures", options.pictures,
                              "Folder for all pictures, with pictures.json, which says what they are"))
        ->type_name("FOLDER");
    output(command.add_option("--shown", options.shown, "Pairs of prompt and seed that page and sheet show"))
        ->check(at_least(1))
        ->capture_default_str();
}

}  // namespace

void add_compare(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand(
        "compare", "Draw the same pictures in full, in several ways of reuse, and with fewer steps; a page");
    add_model_options(*command, options->model);
    add_prompt_options(*command, options->prompts);
    add_animation_options(*command, options->animation, Picture::several);
    add_sampling_options(*command, options->sampling);
    add_caches_options(*command, options->caches, options->count);
    add_comparison_options(*command, *options);
    add_output_options(*command, options->output);
    command->footer(
        "\nTimes are of one picture, the middle of the runs; speed is by the full run beside each. PSNR, "
        "SSIM and "
        "the\nlatents' distance are from the full result of the same seed, the mean over pairs of prompt and "
        "seed.\n"
        "\nExamples:\n"
        "  reprise compare --model models/emoji-sdxl --prompt rocket --steps 20 --out rocket\n"
        "  reprise compare --model models/emoji-sdxl --prompts-file prompts.txt --seeds 4 \\\n"
        "      --cache default --cache deepcache:interval=2 --cache mine.json --report page.html --csv "
        "table.csv\n"
        "  reprise compare --model svd --image boat.jpg --steps 25 --out boat");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
