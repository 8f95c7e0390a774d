#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "commands.h"
#include "outputs.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/run.h"
#include "report/text.h"
#include "reprise/error.h"
#include "session.h"

namespace reprise::app {

namespace {

struct Options {
    ModelOptions model;
    PromptOptions prompts;
    SamplingOptions sampling;
    CacheOptions cache;
    OutputOptions output;
    std::string out = "reprise-{seed}.png", latents_in, latents_out;
    std::string refiner;
    std::optional<double> denoising_end;
};

/// What every picture of a run has in common, and what it needs to be made again.
struct Settings {
    std::string model, cache, size, scheduler, steps, guidance, precision;
    std::string refiner, denoising_end;  ///< empty without one
    const Options& options;
};

ImageText picture_text(const Settings& settings, const std::string& prompt, std::size_t number) {
    const auto& options = settings.options;
    const auto& prompts = options.prompts;
    ImageText text = {{"prompt", prompt}};
    const auto add = [&](const char* key, const std::string& value) { text.emplace_back(key, value); };
    if (prompts.prompt_2) add("prompt_2", *prompts.prompt_2);
    if (prompts.prompt_3) add("prompt_3", *prompts.prompt_3);
    if (prompts.negative_prompt) add("negative_prompt", *prompts.negative_prompt);
    if (prompts.negative_prompt_2) add("negative_prompt_2", *prompts.negative_prompt_2);
    if (prompts.negative_prompt_3) add("negative_prompt_3", *prompts.negative_prompt_3);
    add("seed", std::to_string(options.sampling.seed));
    if (number > 0) add("number", std::to_string(number));
    add("steps", settings.steps);
    add("guidance_scale", settings.guidance);
    add("scheduler", settings.scheduler);
    add("size", settings.size);
    add("cache", settings.cache);
    add("model", settings.model);
    if (!settings.refiner.empty()) add("refiner", settings.refiner);
    if (!settings.denoising_end.empty()) add("denoising_end", settings.denoising_end);
    add("precision", settings.precision);
    add("software", "reprise " REPRISE_VERSION);
    // One text in the form that other programs look for.
    std::string parameters = prompt;
    if (prompts.negative_prompt) parameters += "\nNegative prompt: " + *prompts.negative_prompt;
    parameters += fmt::format(
        "\nSteps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}, Model: {}, "
        "Version: reprise " REPRISE_VERSION,
        settings.steps, settings.scheduler, settings.guidance, options.sampling.seed, settings.size,
        settings.model);
    add("parameters", parameters);
    return text;
}

void report(Context& context, const GenerateOutput& output, double load_seconds) {
    const RunReport& run = output.report;
    context.terminal.note(run.summary);
    context.terminal.note(fmt::format("load {}, text {}, compile {}, denoise {}, decode {}",
                                      human_seconds(load_seconds), human_seconds(run.text_seconds),
                                      human_seconds(run.compile_seconds), human_seconds(run.denoise_seconds),
                                      human_seconds(run.decode_seconds)));
}

/// What is left of the call after the base: the refiner's part, from the base's latents.
GenerateOptions refined(const GenerateOptions& base, const GenerateOutput& made) {
    GenerateOptions options = base;
    options.start_latents = made.latents;
    options.denoising_start = base.denoising_end;
    options.denoising_end.reset();
    options.latents = {};
    options.prompt_2.reset();  // it has one text encoder
    options.negative_prompt_2.reset();
    options.decode = true;
    return options;
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    if (!o.refiner.empty() && !o.denoising_end)
        usage_error("--refiner is given without --denoising-end; expected both, such as --denoising-end 0.8");
    if (!o.refiner.empty() && !o.prompts.embeddings.empty())
        usage_error("--refiner is given with --embeddings, which are the base's alone; expected prompts");
    const MemoryWatch memory;
    GenerateOptions options = o.sampling.generate_options();
    const auto prompts = o.prompts.apply_to(options);
    const std::size_t count = prompts.size() * static_cast<std::size_t>(o.prompts.images);
    const auto paths = picture_paths(o.out, count, o.sampling.seed);
    for (const auto& path : paths) check_picture_path(path);
    if (!o.latents_out.empty()) check_writable(o.latents_out);
    auto all_paths = paths;
    all_paths.emplace_back(o.latents_out);
    check_distinct(all_paths);
    const Tensor latents_in = read_latents(o.latents_in);

    ModelOptions model = o.model;
    model.text_encoders = !options.embeddings;
    std::optional<Session> session(std::in_place, context, model);
    options = session->pipe.implementation().with_defaults(options);
    options.latents = latents_in;
    options.denoising_end = o.denoising_end;
    options.decode = o.refiner.empty();
    session->pipe.implementation().outlook(options);  // refuses what cannot be run, before anything is
    session->choose_reuse(context, o.cache, options);
    GenerateOutput output = session->run(context, options, o.refiner.empty() ? "" : "base");
    double load_seconds = session->load_seconds;
    const std::string pipeline = session->pipe.class_name();
    const std::string cache = cache_text(o.cache, session->config);
    if (!o.refiner.empty()) {
        report(context, output, load_seconds);
        session.reset();  // large models fit in memory one at a time
        model.model = o.refiner;
        session.emplace(context, model);
        load_seconds += session->load_seconds;
        GenerateOptions rest = refined(options, output);
        session->choose_reuse(context, o.cache, rest);
        output = session->run(context, rest, "refiner");
    }

    const Image& first = output.images.front();
    const Settings settings = {model_name(o.model),
                               cache,
                               fmt::format("{}x{}", first.width(), first.height()),
                               output.report.scheduler,
                               std::to_string(*options.num_inference_steps),
                               fmt::format("{}", *options.guidance_scale),
                               output.report.precision,
                               o.refiner.empty() ? "" : model_name(model),
                               o.denoising_end ? fmt::format("{}", *o.denoising_end) : "",
                               o};
    Outputs files;
    for (std::size_t i = 0; i < count; ++i)
        files.add(paths[i], output.images[i],
                  picture_text(settings, prompts[i / static_cast<std::size_t>(o.prompts.images)],
                               count > 1 ? i + 1 : 0));
    if (!o.latents_out.empty()) files.add(o.latents_out, "latents", output.latents);
    files.commit();

    report(context, output, load_seconds);
    if (!o.output.json) {
        print(lines(files.names()));
        return;
    }
    auto json = report::to_json(output.report);
    json["seconds"]["load"] = load_seconds;
    json["memory"] = to_json(memory);
    json["settings"] = {{"model", o.model.model},
                        {"pipeline", pipeline},
                        {"prompts", prompts},
                        {"images_per_prompt", o.prompts.images},
                        {"seed", o.sampling.seed},
                        {"steps", *options.num_inference_steps},
                        {"guidance_scale", *options.guidance_scale},
                        {"width", first.width()},
                        {"height", first.height()},
                        {"cache", settings.cache},
                        {"backend", o.model.backend},
                        {"device", o.model.device},
                        {"threads", o.model.threads},
                        {"version", REPRISE_VERSION}};
    if (o.denoising_end) json["settings"]["denoising_end"] = *o.denoising_end;
    if (!o.refiner.empty()) json["settings"]["refiner"] = o.refiner;
    json["files"] = files.names();
    print(json_text(json));
}

}  // namespace

void add_generate(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("generate", "Draw pictures from prompts");
    add_model_options(*command, options->model);
    add_prompt_options(*command, options->prompts);
    add_embeddings_option(*command, options->prompts);
    add_sampling_options(*command, options->sampling);
    add_cache_options(*command, options->cache);
    command
        ->add_option("--out", options->out, "Picture, .png or .webp; {n} becomes its number, {seed} the seed")
        ->group("Output")
        ->type_name("FILE")
        ->capture_default_str();
    command
        ->add_option("--latents-in", options->latents_in,
                     "Noise in place of the seed's: safetensors with one tensor \"latents\" (pictures, 4, "
                     "height/8, width/8)")
        ->group("Output")
        ->type_name("FILE");
    command->add_option("--latents-out", options->latents_out, "Writes the final latents, in the same form")
        ->group("Output")
        ->type_name("FILE");
    command
        ->add_option("--refiner", options->refiner,
                     "Folder of Stable Diffusion XL's refiner, which goes on where the model ends")
        ->group("Sampling")
        ->type_name("FOLDER");
    command
        ->add_option("--denoising-end", options->denoising_end,
                     "Share of the way from noise to picture after which the model ends, such as 0.8")
        ->group("Sampling")
        ->type_name("SHARE");
    add_output_options(*command, options->output);
    command->footer(
        "\nExamples:\n"
        "  reprise generate --model models/emoji-sdxl --prompt \"red apple\" --out apple.png\n"
        "  reprise generate --model sdxl --prompt \"a lighthouse at dawn\" --steps 30 --scheduler "
        "dpm++2m-karras\n"
        "  reprise generate --model sdxl --prompts-file prompts.txt --images 2 --out 'out/{seed}-{n}.png'\n"
        "  reprise generate --model sdxl --prompt \"a lighthouse\" --cache mine.json --json\n"
        "\n"
        "A configuration file is a list; of entries that match one module the last holds:\n"
        "  [{\"wildcard_or_filter_func\": {\"not\": \"*up_blocks.2*\"},\n"
        "    \"select_cache_step_func\": \"step % 2 != 0\"}]");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
