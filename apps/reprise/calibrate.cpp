#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "commands.h"
#include "outputs.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/heat_map.h"
#include "report/text.h"
#include "reprise/error.h"
#include "reprise/tune.h"
#include "session.h"

namespace reprise::app {

namespace {

struct Options {
    ModelOptions model;
    PromptOptions prompts;
    AnimationOptions animation;
    SamplingOptions sampling;
    OutputOptions output;
    std::string out = "profile.json", cache_out, svg;
    std::vector<std::string> kinds;
    int seeds = 2;
    double threshold = 0.2;
};

/// Whether Block Caching reuses a module at a step.
bool reuses(const cachify::Config& config, const std::string& name, int step, int num_steps) {
    return std::any_of(config.begin(), config.end(), [&](const cachify::Entry& entry) {
        return entry.wildcard_or_filter_func.matches(name) && entry.select_cache_step_func(step, num_steps);
    });
}

/// The changes of all modules, with what the configuration reuses of the blocks.
std::string drawing(const Options& o, const cachify::Profile& profile, const cachify::Config& config) {
    const int steps = profile.run.num_inference_steps;
    report::HeatMap map;
    map.title = model_name(o.model) + ": how much each part changes from step to step";
    map.quantity = "relative change";
    map.mark_meaning = fmt::format("reused by blockcache:threshold={}", o.threshold);
    for (const auto& module : profile.modules) {
        map.names.push_back(module.name);
        auto& values = map.values.emplace_back(module.change);
        values.resize(static_cast<std::size_t>(steps), std::numeric_limits<double>::quiet_NaN());
        if (!values.empty()) values[0] = std::numeric_limits<double>::quiet_NaN();  // nothing came before
        auto& marked = map.marked.emplace_back();
        for (int step = 0; step < steps; ++step)
            marked.push_back(module.kind == ModuleKind::block && reuses(config, module.name, step, steps));
    }
    return report::heat_map(map);
}

std::string table(const cachify::Profile& profile, const cachify::Config& config) {
    report::Table table({{"module"},
                         {"kind"},
                         {"mean change", report::Table::Align::right},
                         {"reused steps", report::Table::Align::right}});
    for (const auto& module : profile.modules) {
        const double sum = std::accumulate(module.change.begin(), module.change.end(), 0.0);
        int reused = 0;
        for (int step = 0; step < profile.run.num_inference_steps; ++step)
            reused += reuses(config, module.name, step, profile.run.num_inference_steps) ? 1 : 0;
        table.add(
            {module.name, std::string(name_of(module.kind)),
             fmt::format("{:.3f}", sum / std::max<double>(1, static_cast<double>(module.change.size()) - 1)),
             module.kind == ModuleKind::block ? fmt::format("{}", reused) : ""});
    }
    return table.text();
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    check_writable(o.out);
    if (!o.cache_out.empty()) check_writable(o.cache_out);
    if (!o.svg.empty()) check_writable(o.svg);
    if (!std::isfinite(o.threshold) || o.threshold < 0)
        usage_error("--threshold {}: expected 0 or more", o.threshold);
    tune::CalibrateOptions options;
    options.generate = o.sampling.generate_options();
    auto subjects = apply_what_to_draw(o.prompts, o.animation, options.generate);
    options.prompts = std::move(subjects.prompts);
    options.images = std::move(subjects.images);
    options.seeds.clear();
    for (int i = 0; i < o.seeds; ++i)
        options.seeds.push_back(o.sampling.seed() + static_cast<std::uint64_t>(i));
    for (const auto& kind : o.kinds) options.kinds.push_back(module_kind(kind));

    Session session(context, o.model.kept());
    options.generate = session.pipe.implementation().with_defaults(options.generate);
    session.watch(context, options.generate);
    options.progress = [&](std::size_t run, std::size_t runs) {
        context.terminal.end();
        context.terminal.begin_run(expected_reuse(std::nullopt, *options.generate.num_inference_steps),
                                   fmt::format("calibrate, run {} of {}", run + 1, runs));
    };
    const auto profile = tune::calibrate(session.pipe, options);
    context.terminal.end();
    const auto config = cachify::block_caching(profile, {o.threshold, {ModuleKind::block}});

    Outputs files;
    files.add(o.out, cachify::to_json(profile));
    if (!o.cache_out.empty())
        files.add(o.cache_out,
                  cachify::to_json(config, cachify::Evidence{profile.model,
                                                             profile.run,
                                                             {{"threshold", o.threshold}},
                                                             {{"made by", "reprise calibrate"}}}));
    if (!o.svg.empty()) files.add(o.svg, drawing(o, profile, config));
    files.commit();
    if (o.output.json) {
        print(cachify::to_json(profile));
        return;
    }
    print(table(profile, config) + fmt::format("\nblockcache at threshold {}\n\n", o.threshold) +
          lines(files.names()));
}

}  // namespace

void add_calibrate(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("calibrate", "Measure how a model's parts change from step to step, for policies");
    add_model_options(*command, options->model);
    add_prompt_options(*command, options->prompts);
    add_animation_options(*command, options->animation, Picture::several);
    add_sampling_options(*command, options->sampling);
    const auto group = [](CLI::Option* option) { return option->group("Calibration"); };
    group(command->add_option("--seeds", options->seeds, "Each prompt is drawn with so many, from --seed on"))
        ->check(at_least(1))
        ->capture_default_str();
    group(command->add_option("--kinds", options->kinds,
                              "Kinds of module that are measured besides blocks, such as transformer,resnet"))
        ->delimiter(',')
        ->type_name("KIND,...");
    group(command->add_option("--threshold", options->threshold,
                              "Of Block Caching, for --cache-out and the table: more is faster"))
        ->capture_default_str();
    command->add_option("--out", options->out, "The profile, for --cache blockcache:profile=FILE and others")
        ->group("Output")
        ->type_name("FILE.json")
        ->capture_default_str();
    command->add_option("--cache-out", options->cache_out, "A configuration by Block Caching, for --cache")
        ->group("Output")
        ->type_name("FILE.json");
    command
        ->add_option("--svg", options->svg, "The changes drawn: a row for each part, a column for each step")
        ->group("Output")
        ->type_name("FILE.svg");
    add_output_options(*command, options->output);
    command->footer(
        "\nNothing is reused while it measures. Without prompts it takes generic ones.\n"
        "\nExamples:\n"
        "  reprise calibrate --model models/emoji-sdxl --steps 20 --out profile.json\n"
        "  reprise generate --model models/emoji-sdxl --prompt rocket --cache "
        "blockcache:profile=profile.json,threshold=0.3");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
