#include "options.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "backends/backend.h"
#include "files/json.h"
#include "reprise/error.h"
#include "schedulers/registry.h"

namespace reprise::app {

namespace {

constexpr std::size_t kMaxPromptsBytes = 1U << 20U;

DType dtype(const std::string& name) {
    return name == "bf16" ? DType::bf16 : name == "f16" ? DType::f16 : DType::f32;
}

/// One of these words; help shows them.
CLI::Validator one_of(const std::vector<std::string>& words) {
    std::string names;
    for (const auto& word : words) (names += names.empty() ? "" : "|") += word;
    return {[words, names](std::string& text) {
                return std::find(words.begin(), words.end(), text) != words.end()
                           ? std::string()
                           : fmt::format("\"{}\" is none of {}", text, names);
            },
            names};
}

/// CLI11 would turn -1 into a large number.
CLI::Validator digits() {
    return {[](std::string& text) {
                return text.find_first_not_of("0123456789") == std::string::npos
                           ? std::string()
                           : fmt::format("\"{}\" is not a whole number from 0 on", text);
            },
            ""};
}

}  // namespace

CLI::Validator at_least(int smallest) {
    CLI::Validator validator(
        [smallest](std::string& text) {
            int value = 0;
            if (!CLI::detail::lexical_cast(text, value))
                return fmt::format("\"{}\" is not a whole number", text);
            return value < smallest ? fmt::format("{} is too small; expected at least {}", value, smallest)
                                    : std::string();
        },
        "");
    return validator;
}

LoadOptions ModelOptions::load_options() const {
    LoadOptions options;
    options.backend = backend;
    options.device = device;
    if (precision != "auto") options.precision = dtype(precision);
    if (vae_precision != "auto") options.vae_precision = dtype(vae_precision);
    options.threads = threads;
    options.variant = variant;
    options.text_encoders = text_encoders;
    if (keep) options.keep_parameters_below = std::numeric_limits<std::int64_t>::max() / 8;
    return options;
}

ModelOptions ModelOptions::kept() const {
    ModelOptions options = *this;
    options.keep = true;
    return options;
}

cachify::Count CacheOptions::counting() const {
    return count == "evaluations" ? cachify::Count::evaluations : cachify::Count::steps;
}

GenerateOptions SamplingOptions::generate_options() const {
    GenerateOptions options;
    options.num_inference_steps = steps;
    options.guidance_scale = guidance;
    options.guidance_rescale = guidance_rescale;
    options.width = width;
    options.height = height;
    options.seed = seed;
    options.scheduler = scheduler;
    options.guidance_mode = guidance_mode == "batched" ? GuidanceMode::batched
                            : guidance_mode == "split" ? GuidanceMode::split
                                                       : GuidanceMode::automatic;
    return options;
}

std::vector<std::string> PromptOptions::prompts() const {
    if (!prompt.empty()) return prompt;
    if (prompts_file.empty()) usage_error("no prompt: give --prompt TEXT or --prompts-file FILE");
    std::string text = read_text_file(prompts_file, kMaxPromptsBytes);
    if (text.find('\0') != std::string::npos)
        usage_error("{}: not a text file; expected one prompt a line", prompts_file);
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // a byte order mark
    std::istringstream lines(text);
    std::vector<std::string> prompts;
    for (std::string line; std::getline(lines, line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (line.find_first_not_of(" \t") != std::string::npos) prompts.push_back(line);
    }
    if (prompts.empty()) usage_error("{}: no prompts in it; expected one a line", prompts_file);
    return prompts;
}

std::vector<std::string> PromptOptions::apply_to(GenerateOptions& options) const {
    options.num_images_per_prompt = images;
    apply_settings_to(options);
    if (embeddings.empty()) return options.prompts = prompts();
    options.embeddings = load_embeddings(embeddings);
    std::vector<std::string> known = options.embeddings->prompts;
    known.resize(static_cast<std::size_t>(options.embeddings->prompt_embeds.dim(0)));
    return known;
}

void PromptOptions::apply_settings_to(GenerateOptions& options) const {
    options.prompt_2 = prompt_2;
    options.prompt_3 = prompt_3;
    options.negative_prompt = negative_prompt;
    options.negative_prompt_2 = negative_prompt_2;
    options.negative_prompt_3 = negative_prompt_3;
    options.clip_skip = clip_skip;
    options.max_sequence_length = max_sequence_length;
    options.clean_caption = clean_caption;
    options.use_resolution_binning = use_resolution_binning;
    options.skip_guidance_layers = skip_guidance_layers;
}

std::vector<Image> AnimationOptions::apply_to(GenerateOptions& options) const {
    std::vector<Image> pictures;
    for (const std::string& file : images) pictures.push_back(Image::load(file));
    options.image = pictures.front();
    options.video = video;
    options.video.fit = fit == "crop" ? Fit::crop : fit == "letterbox" ? Fit::letterbox : Fit::stretch;
    return pictures;
}

bool AnimationOptions::asks() const {
    const AnimationOptions otherwise;
    return fit != otherwise.fit || video != otherwise.video;
}

std::vector<std::string> AnimationOptions::names() const {
    std::vector<std::string> names;
    for (const std::string& file : images) names.push_back(std::filesystem::path(file).filename().string());
    return names;
}

Subjects apply_what_to_draw(const PromptOptions& prompts, const AnimationOptions& animation,
                            GenerateOptions& options) {
    const bool draws = !prompts.prompt.empty() || !prompts.prompts_file.empty();
    if (animation.given() && draws)
        usage_error("both --image and {} are given; expected pictures to animate or prompts to draw",
                    prompts.prompt.empty() ? "--prompts-file" : "--prompt");
    if (draws && animation.asks())
        usage_error("--frames, --fps, --fit and the like are for --image; prompts are drawn without them");
    options.num_images_per_prompt = prompts.images;
    prompts.apply_settings_to(options);
    if (animation.given()) return {{}, animation.apply_to(options)};
    if (!draws) return {};
    return {prompts.prompts(), {}};
}

void add_model_options(CLI::App& command, ModelOptions& options) {
    options.backend = backends::available().front();
    const auto group = [](CLI::Option* option) { return option->group("Model"); };
    group(command.add_option("--model", options.model, "Folder in diffusers' layout"))
        ->required()
        ->type_name("FOLDER");
    group(command.add_option("--device", options.device, "Device of the backend, such as CPU or GPU.0"))
        ->capture_default_str();
    group(command.add_option(
              "--precision", options.precision,
              "Of the denoiser and text encoders; auto: bf16 where it is native and the faster, else f32"))
        ->check(one_of({"auto", "f32", "bf16", "f16"}))
        ->capture_default_str();
    group(command.add_option(
              "--vae-precision", options.vae_precision,
              "Of the autoencoder, likewise; what is not finite in 16 bits is done again in f32"))
        ->check(one_of({"auto", "f32", "bf16", "f16"}))
        ->capture_default_str();
    group(command.add_option("--threads", options.threads, "Worker threads; 0: one for each core"))
        ->check(at_least(0))
        ->capture_default_str();
    group(command.add_option("--variant", options.variant, "Of the weight files, such as fp16"));
    group(command.add_option("--backend", options.backend, "What computes"))
        ->check(one_of(backends::available()))
        ->capture_default_str();
}

namespace {

void add_count_option(CLI::App& command, std::string& count) {
    command
        .add_option("--count", count,
                    "What a configuration's steps are: the sampler's, or calls of the denoiser")
        ->group("Reuse")
        ->check(one_of({"steps", "evaluations"}))
        ->capture_default_str();
}

}  // namespace

void add_cache_options(CLI::App& command, CacheOptions& options) {
    command
        .add_option(
            "--cache", options.cache,
            "What is reused between steps: " + cache_name_list() + ", or a JSON file with a configuration")
        ->group("Reuse")
        ->type_name("NAME|FILE.json")
        ->capture_default_str();
    add_count_option(command, options.count);
}

void add_caches_options(CLI::App& command, std::vector<std::string>& caches, std::string& count) {
    caches = {"auto"};
    command
        .add_option("--cache", caches,
                    "What is reused between steps; may be given again (default: auto): " + cache_name_list() +
                        ", or a JSON file with a configuration")
        ->group("Reuse")
        ->allow_extra_args(false)
        ->type_name("NAME|FILE.json");
    add_count_option(command, count);
}

void add_run_options(CLI::App& command, SamplingOptions& options) {
    const auto group = [](CLI::Option* option) { return option->group("Sampling"); };
    std::string names;
    for (const auto& entry : schedulers()) (names += names.empty() ? "" : ", ") += entry.name;
    group(
        command.add_option("--steps", options.steps,
                           "Denoising steps (default: what the model's folder says, or diffusers has for the "
                           "pipeline)"))
        ->check(at_least(1))
        ->type_name("N");
    group(command.add_option("--width", options.width, "In pixels; 0: what the model was trained for"))
        ->check(at_least(0))
        ->capture_default_str();
    group(command.add_option("--height", options.height, "In pixels; 0: what the model was trained for"))
        ->check(at_least(0))
        ->capture_default_str();
    group(command.add_option("--seed", options.seed, "The noise is PyTorch's for this seed"))
        ->check(digits())
        ->capture_default_str();
    group(command.add_option("--scheduler", options.scheduler,
                             "Sampling method (default: the model's own): " + names))
        ->type_name("NAME");
    group(command.add_option("--guidance-mode", options.guidance_mode,
                             "Both halves of guidance as one batch or as two passes; auto: the faster"))
        ->check(one_of({"auto", "batched", "split"}))
        ->capture_default_str();
}

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
    const auto group = [](CLI::Option* option) { return option->group("Sampling"); };
    add_run_options(command, options);
    group(command.add_option(
              "--guidance", options.guidance,
              "Guidance scale; off at 1 and below (default: what diffusers has for the pipeline)"))
        ->type_name("FLOAT");
    group(command.add_option("--guidance-rescale", options.guidance_rescale,
                             "0 to 1: how much of guidance's contrast is taken back"))
        ->capture_default_str();
}

void add_animation_options(CLI::App& command, AnimationOptions& options, Picture picture) {
    const auto group = [](CLI::Option* option) { return option->group("Animation"); };
    AnimateOptions& video = options.video;
    auto* image = group(command.add_option("--image", options.images,
                                           picture == Picture::several
                                               ? "Picture to start from: PNG, JPEG or WebP; may be repeated"
                                               : "Picture to start from: PNG, JPEG or WebP"))
                      ->required(picture == Picture::required)
                      ->type_name("FILE");
    if (picture == Picture::several)
        image->allow_extra_args(false);
    else
        image->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    group(
        command.add_option("--fit", options.fit,
                           "How it comes to the video's size: stretched, cut off at the sides, or on black"))
        ->check(one_of({"stretch", "crop", "letterbox"}))
        ->capture_default_str();
    group(command.add_option("--frames", video.num_frames, "(default: what the model was trained for)"))
        ->check(at_least(1))
        ->type_name("N");
    group(command.add_option("--fps", video.fps, "Frames a second, of the file and as the model is told"))
        ->check(at_least(1))
        ->capture_default_str();
    group(command.add_option("--motion-bucket", video.motion_bucket_id, "More is more motion"))
        ->check(at_least(0))
        ->capture_default_str();
    group(command.add_option("--noise-aug", video.noise_aug_strength,
                             "Noise on the picture; more follows it less"))
        ->capture_default_str();
    group(command.add_option("--min-guidance", video.min_guidance_scale, "Guidance scale at the first frame"))
        ->capture_default_str();
    group(command.add_option("--max-guidance", video.max_guidance_scale,
                             "At the last frame; guidance is off at 1 and below"))
        ->capture_default_str();
    group(command.add_option("--decode-chunk-size", video.decode_chunk_size,
                             "Frames decoded at once (default: all, or as many as memory allows)"))
        ->check(at_least(1))
        ->type_name("N");
}

void add_prompt_options(CLI::App& command, PromptOptions& options) {
    const auto group = [](CLI::Option* option) { return option->group("Prompt"); };
    auto* given = group(command.add_option("--prompt", options.prompt, "What to draw; may be given again"))
                      ->allow_extra_args(false)
                      ->type_name("TEXT");
    group(command.add_option("--prompts-file", options.prompts_file,
                             "Several prompts: a text file with one a line"))
        ->excludes(given)
        ->type_name("FILE");
    group(command.add_option("--prompt-2", options.prompt_2,
                             "For the second text encoder (default: the prompt)"))
        ->type_name("TEXT");
    group(command.add_option("--prompt-3", options.prompt_3,
                             "For the third text encoder (default: the prompt)"))
        ->type_name("TEXT");
    group(command.add_option("--negative-prompt", options.negative_prompt, "What to keep away from"))
        ->type_name("TEXT");
    group(command.add_option("--negative-prompt-2", options.negative_prompt_2,
                             "The same for the second text encoder"))
        ->type_name("TEXT");
    group(command.add_option("--negative-prompt-3", options.negative_prompt_3,
                             "The same for the third text encoder"))
        ->type_name("TEXT");
    group(command.add_option("--images", options.images, "Pictures for each prompt"))
        ->check(at_least(1))
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    group(command.add_option("--clip-skip", options.clip_skip, "Layers of the text encoders to leave out"))
        ->check(at_least(0))
        ->type_name("N");
    group(command.add_option("--max-sequence-length", options.max_sequence_length,
                             "Tokens of a T5 text encoder (default: what diffusers has for the pipeline)"))
        ->check(at_least(1))
        ->type_name("N");
    group(command.add_flag_callback(
        "--no-clean-caption", [&options] { options.clean_caption = false; },
        "PixArt: take prompts as they are but for capitals, with their links and markup"));
    group(command.add_flag_callback(
        "--no-resolution-binning", [&options] { options.use_resolution_binning = false; },
        "PixArt: draw at the size asked for, not at the nearest that it was trained for"));
    group(command.add_option("--skip-guidance-layers", options.skip_guidance_layers,
                             "Not supported: diffusers' guidance by leaving layers out"))
        ->delimiter(',')
        ->type_name("N,...");
}

void add_embeddings_option(CLI::App& command, PromptOptions& options) {
    command
        .add_option(
            "--embeddings", options.embeddings,
            "In place of all texts: what reprise encode wrote; the model's text encoders are not opened")
        ->group("Prompt")
        ->excludes("--prompt")
        ->excludes("--prompts-file")
        ->type_name("FILE");
}

void add_output_options(CLI::App& command, OutputOptions& options, const std::string& json) {
    command.add_flag("--json", options.json, json + " on standard output")->group("Output");
    auto* verbose =
        command.add_flag("-v,--verbose", options.verbose, "Say more on standard error")->group("Output");
    command.add_flag("-q,--quiet", options.quiet, "Nothing on standard error but errors")
        ->group("Output")
        ->excludes(verbose);
}

void set_up(Context& context, const OutputOptions& options) {
    context.terminal.set_loudness(options.loudness());
    log_to(context.terminal, options.loudness());
}

std::vector<bool> expected_reuse(const std::optional<Reuse>& reuse, int num_steps) {
    std::vector<bool> reused(static_cast<std::size_t>(num_steps), false);
    const auto* config = reuse && !reuse->in_full ? std::get_if<cachify::Config>(&reuse->what) : nullptr;
    if (config != nullptr)
        for (const auto& entry : *config)
            for (int step = 0; step < num_steps; ++step)
                if (entry.select_cache_step_func(step, num_steps))
                    reused[static_cast<std::size_t>(step)] = true;
    return reused;
}

}  // namespace reprise::app
