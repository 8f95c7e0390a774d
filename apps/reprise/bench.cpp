#include <fmt/format.h>

#include "commands.h"
#include "outputs.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/run.h"
#include "report/spread.h"
#include "report/text.h"
#include "session.h"

namespace reprise::app {

namespace {

struct Options {
    ModelOptions model;
    AnimationOptions animation;
    SamplingOptions sampling;
    CacheOptions cache;
    OutputOptions output;
    std::string prompt = "a photograph of a red apple on a table";
    int runs = 3;
    bool decode = false;
};

struct Measured {
    double to_first_step = 0;  ///< seconds from the start of the process to the end of the first step
    RunReport cold;
    std::vector<RunReport> runs;
};

report::Spread steps(const std::vector<RunReport>& runs, bool reused) {
    std::vector<double> seconds;
    for (const auto& run : runs)
        for (const auto& step : run.steps)
            if (step.reused == reused) seconds.push_back(step.seconds);
    return report::spread_of(std::move(seconds));
}

report::Spread totals(const std::vector<RunReport>& runs, double RunReport::*value) {
    std::vector<double> seconds;
    for (const auto& run : runs) seconds.push_back(run.*value);
    return report::spread_of(std::move(seconds));
}

double share(const RunReport& run, bool reused) {
    for (const auto& step : run.steps)
        if (step.reused == reused) return step.flops_share;
    return 0;
}

nlohmann::ordered_json to_json(const report::Spread& spread) {
    if (spread.high == 0) return nullptr;
    return {{"median", spread.median}, {"min", spread.low}, {"max", spread.high}};
}

nlohmann::ordered_json to_json(const Measured& m, const Session& session, const MemoryWatch& memory) {
    auto runs = nlohmann::ordered_json::array();
    for (const auto& run : m.runs) runs.push_back(report::to_json(run));
    return {{"summary", m.runs.back().summary},
            {"seconds",
             {{"load", session.load_seconds},
              {"text", m.cold.text_seconds},
              {"compile", m.cold.compile_seconds},
              {"first_step", m.cold.steps.front().seconds},
              {"start_to_first_step", m.to_first_step},
              {"full_step", to_json(steps(m.runs, false))},
              {"reused_step", to_json(steps(m.runs, true))},
              {"denoise", to_json(totals(m.runs, &RunReport::denoise_seconds))},
              {"decode", to_json(totals(m.runs, &RunReport::decode_seconds))}}},
            {"flops_share_of_reused_step", share(m.runs.back(), true)},
            {"memory", to_json(memory)},
            {"runs", runs}};
}

std::string to_text(const Measured& m, const Session& session, const MemoryWatch& memory) {
    const auto line = [](const report::Spread& s) {
        return fmt::format("{}  ({} .. {})", human_seconds(s.median), human_seconds(s.low),
                           human_seconds(s.high));
    };
    const auto full = steps(m.runs, false), reused = steps(m.runs, true);
    const auto decode = totals(m.runs, &RunReport::decode_seconds);
    report::Table table({{}, {}});
    table.add({"load", human_seconds(session.load_seconds)});
    table.add({"text", human_seconds(m.cold.text_seconds)});
    table.add({"compile", human_seconds(m.cold.compile_seconds)});
    table.add({"first step", human_seconds(m.cold.steps.front().seconds)});
    table.add({"start to first step", human_seconds(m.to_first_step)});
    table.add({"full step", line(full)});
    if (reused.high > 0) {
        table.add({"reused step", line(reused)});
        table.add({"reused / full",
                   fmt::format("{} of the time, {} of the FLOPs", percent(reused.median / full.median),
                               percent(share(m.runs.back(), true)))});
    }
    table.add({"all steps", line(totals(m.runs, &RunReport::denoise_seconds))});
    if (decode.high > 0) table.add({"decode", line(decode)});
    const Memory now = memory_now();
    table.add({"peak memory", fmt::format("{} own, {} resident with mapped files",
                                          human_bytes(static_cast<double>(memory.peak_own())),
                                          human_bytes(static_cast<double>(now.peak)))});
    const HeldCode& held = m.runs.back().held;
    if (held.bytes > 0)
        table.add({"compiled code", fmt::format("{} held in {} pieces, {:.0f} memory mappings",
                                                human_bytes(held.bytes), held.pieces, held.mappings)});
    table.add({"kept for reuse", human_bytes(static_cast<double>(m.runs.back().kept_bytes))});
    return table.text();
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    const MemoryWatch memory;
    Session session(context, o.model.kept());
    GenerateOptions options = o.sampling.generate_options();
    if (session.pipe.implementation().denoiser().model().traits().frames == 0) {
        options.prompt = o.prompt;
    } else if (o.animation.given()) {
        o.animation.apply_to(options);
    } else {
        options.image = Image(64, 64);
        o.animation.flags.apply_to(&options);
    }
    options.decode = o.decode;
    options = session.pipe.implementation().with_defaults(options);
    session.pipe.implementation().outlook(options);
    session.choose_reuse(context, o.cache, options);

    Measured measured;
    auto first = options;
    first.callback_on_step_end = [&measured](const StepInfo& info) {
        if (info.step == 0) measured.to_first_step = seconds_since_start();
        return true;
    };
    measured.cold = session.run(context, first, "warming up").report;
    for (int r = 1; r <= o.runs; ++r)
        measured.runs.push_back(session.run(context, options, fmt::format("run {} of {}", r, o.runs)).report);

    if (!o.output.json) {
        print(measured.runs.back().summary + "\n" + to_text(measured, session, memory));
        return;
    }
    auto json = to_json(measured, session, memory);
    json["settings"] = {{"model", o.model.model},
                        {"cache", cache_text(o.cache, session.config)},
                        {"steps", *options.num_inference_steps},
                        {"backend", session.pipe.implementation().engine().backend->name()},
                        {"device", session.pipe.implementation().load_options().device},
                        {"threads", session.pipe.implementation().load_options().threads},
                        {"version", REPRISE_VERSION}};
    print(json_text(json));
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("bench", "Measure steps, start-up and memory");
    add_model_options(*command, options->model);
    add_animation_options(*command, options->animation, Picture::optional);
    add_sampling_options(*command, options->sampling);
    add_cache_options(*command, options->cache);
    const auto group = [](CLI::Option* option) { return option->group("Measuring"); };
    group(command->add_option("--runs", options->runs, "Measured runs, after one that compiles"))
        ->check(at_least(1))
        ->capture_default_str();
    group(command->add_option("--prompt", options->prompt, "What to draw"))
        ->type_name("TEXT")
        ->capture_default_str();
    group(command->add_flag("--decode", options->decode, "Also decode the pictures"));
    add_output_options(*command, options->output);
    command->footer(
        "\nTimes of steps are the middle over all steps of all measured runs, with smallest and largest.\n"
        "Peak memory is sampled every 20 ms: anonymous and shared pages, without those of mapped files.\n"
        "\nExamples:\n"
        "  reprise bench --model models/emoji-sdxl --steps 20 --threads 2\n"
        "  reprise bench --model sdxl --width 512 --height 512 --cache off --runs 1 --json");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
