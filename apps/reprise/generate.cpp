#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "commands.h"
#include "metadata.h"
#include "outputs.h"
#include "pipelines/diffusion_pipeline.h"
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
    std::string out = "reprise-{seed}.png", latents_in, latents_out, like, refiner;
};

/// Puts what is to be drawn into the options, which are those of a picture or as by default. Yields the
/// prompts.
std::vector<std::string> apply_to(GenerateOptions& options, const Options& o, const Recalled& like) {
    o.sampling.flags.apply_to(&options);
    if (o.prompts.flags.has("num_images_per_prompt")) options.only_picture.reset();
    if (like.given() && !o.prompts.given() && o.prompts.embeddings.empty()) {
        o.prompts.flags.apply_to(&options);
        return {like.prompt};
    }
    options.prompt.clear();
    return o.prompts.apply_to(options);
}

Attachments attachments_of(const Options& o) {
    Attachments attachments;
    if (!o.prompts.embeddings.empty()) attachments["embeddings"] = o.prompts.embeddings;
    if (!o.latents_in.empty()) attachments["latents"] = o.latents_in;
    if (!o.refiner.empty()) attachments["refiner"] = o.refiner + "/model_index.json";
    return attachments;
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

/// Usage error unless there is a refiner where its part is left to one.
void check_refiner(const Options& o, const GenerateOptions& base) {
    if (o.refiner.empty()) return;
    if (!base.denoising_end)
        usage_error("--refiner is given without --denoising-end; expected both, such as --denoising-end 0.8");
    if (!o.prompts.embeddings.empty())
        usage_error("--refiner is given with --embeddings, which are the base's alone; expected prompts");
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    const MemoryWatch memory;
    const Recalled like = Recalled::from(o.like);
    GenerateOptions options = like.call;
    const auto prompts = apply_to(options, o, like);
    const std::size_t count =
        options.only_picture ? 1 : prompts.size() * static_cast<std::size_t>(options.num_images_per_prompt);
    const auto paths = picture_paths(o.out, count, options.seed);
    for (const auto& path : paths) check_picture_path(path);
    if (!o.latents_out.empty()) check_writable(o.latents_out);
    auto all_paths = paths;
    all_paths.emplace_back(o.latents_out);
    check_distinct(all_paths);
    const Attachments attachments = attachments_of(o);
    like.check(attachments, context.terminal);
    const Tensor latents_in = read_latents(o.latents_in);

    ModelOptions model = o.model;
    model.base = like.load;
    model.text_encoders = !options.embeddings;
    std::optional<Session> session(std::in_place, context, model);
    like.check(*session, context.terminal);
    options = session->pipe.implementation().with_defaults(options);
    check_refiner(o, options);
    options.latents = latents_in;
    options.decode = o.refiner.empty();
    session->pipe.implementation().outlook(options);  // refuses what cannot be run, before anything is
    const CacheOptions cache = like.cache(o.cache);
    session->choose_reuse(context, cache, options);
    GenerateOutput output = session->run(context, options, o.refiner.empty() ? "" : "base");
    Metadata metadata(*session, model, cache, options, output, attachments);
    double load_seconds = session->load_seconds;
    if (!o.refiner.empty()) {
        say_what_ran(context, output.report, load_seconds, "text");
        session.reset();  // large models fit in memory one at a time
        ModelOptions second = model;
        second.model = o.refiner;
        session.emplace(context, second);
        load_seconds += session->load_seconds;
        GenerateOptions rest = refined(options, output);
        if (like.given() && !o.sampling.flags.has("guidance_mode"))
            rest.guidance_mode = like.refiner.guidance_mode;
        session->choose_reuse(context, like.refiner_cache(o.cache), rest);
        output = session->run(context, rest, "refiner");
        metadata.refined(rest, output);
    }

    Outputs files;
    for (std::size_t i = 0; i < count; ++i) {
        const auto number = static_cast<std::size_t>(options.only_picture.value_or(static_cast<int>(i)));
        const std::size_t prompt = number / static_cast<std::size_t>(options.num_images_per_prompt);
        files.add(paths[i], output.images[i], metadata.of_picture(i, count, prompts[prompt]));
    }
    if (!o.latents_out.empty()) files.add(o.latents_out, "latents", output.latents);
    files.commit();

    say_what_ran(context, output.report, load_seconds, "text");
    if (!o.output.json) {
        print(lines(files.names()));
        return;
    }
    auto json = to_json(output.report, load_seconds, memory);
    json["settings"] = metadata.settings();
    json["settings"]["prompts"] = prompts;
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
    add_like_option(*command, options->like);
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
    add_output_options(*command, options->output);
    command->footer(
        "\nExamples:\n"
        "  reprise generate --model models/emoji-sdxl --prompt \"red apple\" --out apple.png\n"
        "  reprise generate --model sdxl --prompt \"a lighthouse at dawn\" --steps 30 --scheduler "
        "dpm++2m-karras\n"
        "  reprise generate --model sdxl --prompts-file prompts.txt --images 2 --out 'out/{seed}-{n}.png'\n"
        "  reprise generate --model sdxl --prompt \"a lighthouse\" --cache mine.json --json\n"
        "  reprise generate --model sdxl --like lighthouse.png --steps 50 --out again.png\n"
        "\n"
        "A configuration file is a list; of entries that match one module the last holds:\n"
        "  [{\"wildcard_or_filter_func\": {\"not\": \"*up_blocks.2*\"},\n"
        "    \"select_cache_step_func\": \"step % 2 != 0\"}]");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
