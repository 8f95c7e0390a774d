#include <algorithm>

#include "commands.h"
#include "outputs.h"
#include "pipelines/registry.h"
#include "report/module_tree.h"
#include "report/text.h"
#include "reprise/error.h"

namespace reprise::app {

namespace {

struct Options {
    ModelOptions model;
    SamplingOptions sampling;
    CacheOptions cache;
    OutputOptions output;
    std::string match, kind;
    int depth = 0;
    bool all = false;
};

bool shown(const Options& o, const report::ModuleRow& row) {
    if (!o.match.empty() || !o.kind.empty()) {
        if (row.depth == 0) return false;
        if (!o.match.empty() && !cachify::ModuleFilter(o.match).matches(row.name)) return false;
        if (!o.kind.empty() && row.kind != module_kind(o.kind)) return false;
        return true;
    }
    if (o.depth > 0 && row.depth > o.depth) return false;
    return o.all || row.depth <= 1 || row.kind != ModuleKind::other;
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    if (!o.kind.empty()) module_kind(o.kind);  // refuses what is none
    const auto opened = pipelines::open_pipeline(o.model.model, o.model.load_options(), true);
    auto& pipe = *opened;
    auto options = pipe.with_defaults(o.sampling.generate_options());
    const auto config = cache_config(o.cache.cache, pipe, options, [&](const std::string& line) {
        context.terminal.note("cache " + line);
    });
    const auto ahead = pipe.any_outlook(options);
    const auto& denoiser = pipe.denoiser();
    const auto graph = denoiser.structure(ahead.shape);
    std::shared_ptr<const cachify::Plan> plan;
    if (config) {
        options.reuse = Reuse(*config, o.cache.counting());
        plan = denoiser.plan(pipe.request(options, ahead));
    }
    auto tree = report::module_tree(graph, plan.get());
    std::erase_if(tree.rows, [&](const auto& row) { return !shown(o, row); });
    if (tree.rows.empty())
        usage_error("no module{}{}{}; see `reprise modules --model {} --all`",
                    o.match.empty() ? "" : " matches \"" + o.match + "\"",
                    o.match.empty() || o.kind.empty() ? "" : " and",
                    o.kind.empty() ? "" : " is of kind " + o.kind, o.model.model);
    if (o.output.json) {
        print(report::to_json(tree).dump(2) + "\n");
        return;
    }
    const bool flat = !o.match.empty() || !o.kind.empty();
    print(fmt::format("{} for one picture of {}x{} latents, one pass\n\n{}", denoiser.class_name(),
                      ahead.shape.width, ahead.shape.height, report::to_text(tree, flat)));
}

}  // namespace

void add_modules(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("modules", "List the denoiser's modules: what a configuration can name");
    add_model_options(*command, options->model);
    const auto group = [](CLI::Option* option) { return option->group("Which"); };
    group(command->add_option("--match", options->match,
                              "Only names that match this pattern (*, ?, [seq], [!seq])"))
        ->type_name("PATTERN");
    group(
        command->add_option("--kind", options->kind,
                            "Only this kind: block, resnet, transformer, transformer_block, self_attention, "
                            "cross_attention, feed_forward, sampler, ..."))
        ->type_name("KIND");
    group(command->add_option("--depth", options->depth, "Only so many levels; 0: all"))
        ->check(at_least(0))
        ->capture_default_str();
    group(command->add_flag("--all", options->all, "Also modules that cannot be reused"));
    add_cache_options(*command, options->cache);
    add_sampling_options(*command, options->sampling);
    add_output_options(*command, options->output, "A JSON array");
    command->footer(
        "\nExamples:\n"
        "  reprise modules --model models/emoji-sdxl\n"
        "  reprise modules --model sdxl --match '*attn2' --cache mine.json --steps 20\n"
        "  reprise modules --model sdxl --depth 1 --width 1024 --height 1024");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
