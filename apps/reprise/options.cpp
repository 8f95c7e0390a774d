#include "options.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "files/json.h"
#include "options/names.h"
#include "reprise/error.h"

namespace reprise::app {

namespace {

constexpr std::size_t kMaxPromptsBytes = 1U << 20U;

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
    LoadOptions options = base;
    flags.apply_to(&options);
    options.text_encoders = text_encoders;
    constexpr std::int64_t kOneCall = 400'000'000;  // what is larger is freed as soon as it was used
    if (!keep) options.memory_limit = kOneCall;
    return options;
}

ModelOptions ModelOptions::kept() const {
    ModelOptions options = *this;
    options.keep = true;
    return options;
}

cachify::Count CacheOptions::counting() const {
    return options::value_of<cachify::Count>(count, "--count");
}

GenerateOptions SamplingOptions::generate_options() const {
    GenerateOptions options;
    flags.apply_to(&options);
    return options;
}

std::vector<std::string> PromptOptions::prompts() const {
    if (flags.has("prompts")) return flags.value("prompts").get<std::vector<std::string>>();
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
    flags.apply_to(&options);
    if (embeddings.empty()) return options.prompts = prompts();
    options.embeddings = load_embeddings(embeddings);
    std::vector<std::string> known = options.embeddings->prompts;
    known.resize(static_cast<std::size_t>(options.embeddings->prompt_embeds.dim(0)));
    return known;
}

std::vector<Image> AnimationOptions::apply_to(GenerateOptions& options) const {
    std::vector<Image> pictures;
    for (const std::string& file : images) pictures.push_back(Image::load(file));
    options.image = pictures.front();
    flags.apply_to(&options);
    return pictures;
}

std::vector<std::string> AnimationOptions::names() const {
    std::vector<std::string> names;
    for (const std::string& file : images) names.push_back(std::filesystem::path(file).filename().string());
    return names;
}

Subjects apply_what_to_draw(const PromptOptions& prompts, const AnimationOptions& animation,
                            GenerateOptions& options) {
    if (animation.given() && prompts.given())
        usage_error("both --image and {} are given; expected pictures to animate or prompts to draw",
                    prompts.prompts_file.empty() ? "--prompt" : "--prompts-file");
    if (prompts.given() && animation.flags.any())
        usage_error("--frames, --fps, --fit and the like are for --image; prompts are drawn without them");
    prompts.flags.apply_to(&options);
    options.prompts.clear();  // they are drawn one by one
    if (animation.given()) return {{}, animation.apply_to(options)};
    if (!prompts.given()) return {};
    return {prompts.prompts(), {}};
}

namespace {

std::function<bool(const options::Row&)> of_group(options::Group group) {
    return [group](const options::Row& row) { return row.group == group; };
}

}  // namespace

void add_model_options(CLI::App& command, ModelOptions& options) {
    command.add_option("--model", options.model, "Folder in diffusers' layout")
        ->group("Model")
        ->required()
        ->type_name("FOLDER");
    options.flags.add(command, of_group(options::Group::model));
}

namespace {

void add_count_option(CLI::App& command, std::string& count) {
    std::vector<std::string> names;
    for (const auto& each : options::names_of<cachify::Count>()) names.emplace_back(each.name);
    command
        .add_option("--count", count,
                    "What a configuration's steps are: the sampler's, or calls of the denoiser")
        ->group("Reuse")
        ->check(one_of(names))
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
        ->each([&options](const std::string&) { options.given = true; })
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
    options.flags.add(command, [](const options::Row& row) {
        return row.group == options::Group::sampling && row.about == options::About::call;
    });
}

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
    options.flags.add(command, of_group(options::Group::sampling));
}

void add_animation_options(CLI::App& command, AnimationOptions& options, Picture picture) {
    const auto group = [](CLI::Option* option) { return option->group("Animation"); };
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
    options.flags.add(command, of_group(options::Group::animation));
}

void add_prompt_options(CLI::App& command, PromptOptions& options) {
    options.flags.add(command, [](const options::Row& row) { return row.name == "prompts"; });
    command
        .add_option("--prompts-file", options.prompts_file, "Several prompts: a text file with one a line")
        ->group("Prompt")
        ->excludes("--prompt")
        ->type_name("FILE");
    options.flags.add(command, [](const options::Row& row) {
        return row.group == options::Group::prompt && row.name != "prompts";
    });
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
