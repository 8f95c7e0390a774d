#include <fmt/format.h>

#include <algorithm>

#include "commands.h"
#include "outputs.h"
#include "pipelines/registry.h"
#include "report/graph_drawing.h"
#include "report/plan_drawing.h"
#include "report/plan_view.h"
#include "report/run.h"
#include "report/text.h"
#include "session.h"

namespace reprise::app {

namespace {

struct Options {
    ModelOptions model;
    SamplingOptions sampling;
    CacheOptions cache;
    OutputOptions output;
    std::string svg;
    int frames = 0;
};

/// Kinds of step that are drawn at most.
constexpr std::size_t kMostPanels = 8;

void draw(const Options& o, const cachify::Plan& plan, const report::PlanView& view,
          const std::string& class_name) {
    const std::string title = fmt::format("{}, {}", model_name(o.model),
                                          o.cache.off() ? "nothing reused" : short_cache_name(o.cache.cache));
    Outputs files;
    files.add(o.svg, report::plan_drawing(plan, view, class_name, title, kMostPanels));
    files.commit();
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    if (!o.svg.empty()) check_writable(o.svg);
    const auto opened = pipelines::open_pipeline(o.model.model, o.model.load_options(), true);
    auto& pipe = *opened;
    auto options = pipe.with_defaults(o.sampling.generate_options());
    options.video.num_frames = o.frames;
    const auto config = cache_config(o.cache.cache, pipe, options, [&](const std::string& line) {
        context.terminal.note("cache " + line);
    });
    const auto ahead = pipe.outlook(options);
    const auto& denoiser = pipe.denoiser();
    options.reuse = config ? Reuse(*config, o.cache.counting()) : Reuse();
    const auto plan = denoiser.plan(pipe.request(options, ahead));
    const auto view = report::view_of(*plan);
    if (!o.svg.empty()) draw(o, *plan, view, denoiser.class_name());
    const bool split = plan->schedule.num_branches > 1;
    const char* guidance = !ahead.shape.guidance ? "no guidance"
                           : split               ? "guidance as two passes"
                           : options.guidance_mode == GuidanceMode::automatic
                               ? "guidance as one batch (auto: a run may find two passes faster)"
                               : "guidance as one batch";
    if (o.output.json) {
        auto json = report::to_json(view);
        json["model"] = o.model.model;
        json["cache"] = cache_text(o.cache, config);
        json["precision"] = name_of(pipe.engine().options.precision);
        json["latents"] = {{"width", ahead.shape.width}, {"height", ahead.shape.height}};
        json["guidance_mode"] = split ? "split" : "batched";
        print(json_text(json));
        return;
    }
    print(fmt::format("{} {}: latents {}x{}, {} steps, {}, {}\ncache {}\n\n", denoiser.class_name(),
                      name_of(pipe.engine().options.precision), ahead.shape.width, ahead.shape.height,
                      view.num_steps, options.scheduler.empty() ? "the model's scheduler" : options.scheduler,
                      guidance, cache_text(o.cache, config)) +
          report::to_text(view, {context.terminal.full_mark(), context.terminal.reused_mark()}));
}

}  // namespace

void add_plan(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("plan", "Show what would run at each step, what is kept, what is saved");
    add_model_options(*command, options->model);
    command->add_option("--frames", options->frames, "Of a video (default: what the model was trained for)")
        ->group("Sampling")
        ->check(at_least(1))
        ->type_name("N");
    add_cache_options(*command, options->cache);
    add_sampling_options(*command, options->sampling);
    add_output_options(*command, options->output);
    command
        ->add_option(
            "--svg", options->svg,
            "Also draw the denoiser's blocks: what is computed, reused and kept at each kind of step")
        ->group("Output")
        ->type_name("FILE.svg");
    command->footer(
        "\nNo weights are read: it takes a moment for models of any size.\n"
        "\nExamples:\n"
        "  reprise plan --model models/emoji-sdxl --steps 20 --svg plan.svg\n"
        "  reprise plan --model sdxl --cache mine.json --steps 30 --width 1024 --height 1024 "
        "--guidance-mode split");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
