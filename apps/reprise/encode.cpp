#include "commands.h"
#include "interrupt.h"
#include "outputs.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/embeddings.h"
#include "reprise/error.h"
#include "session.h"

namespace reprise::app {

namespace {

struct Options {
    ModelOptions model;
    PromptOptions prompts;
    OutputOptions output;
    std::string out = "embeddings.safetensors";
};

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    const MemoryWatch memory;
    check_writable(o.out);
    GenerateOptions options;
    const auto prompts = o.prompts.apply_to(options);
    if (options.num_images_per_prompt != 1)
        usage_error("--images {}: texts are encoded once, however many pictures are drawn of them",
                    options.num_images_per_prompt);
    Session session(context, o.model);
    Session::watch(context, options);
    const PromptEmbeddings embeddings = session.pipe.encode_prompt(options);
    context.terminal.end();
    stop_if_interrupted();
    save_embeddings(embeddings, o.out);
    if (!o.output.json) {
        print(o.out + "\n");
        return;
    }
    print(json_text({{"prompts", prompts},
                     {"tokens", embeddings.prompt_embeds.dim(1)},
                     {"width", embeddings.prompt_embeds.dim(2)},
                     {"memory", to_json(memory)},
                     {"files", {o.out}}}));
}

}  // namespace

void add_encode(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("encode", "Keep what the text encoders make of prompts");
    add_model_options(*command, options->model);
    add_prompt_options(*command, options->prompts);
    command
        ->add_option(
            "--out", options->out,
            "safetensors with prompt_embeds, negative_prompt_embeds and so on, as diffusers' pipelines "
            "take them")
        ->group("Output")
        ->type_name("FILE")
        ->capture_default_str();
    add_output_options(*command, options->output);
    command->footer(
        "\nThe file is for generate --embeddings, which needs no text encoder:\n"
        "  reprise encode --model sd3 --prompt \"a lighthouse at dawn\" --out lighthouse.safetensors\n"
        "  reprise generate --model sd3 --embeddings lighthouse.safetensors --seed 7 --out lighthouse.png");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
