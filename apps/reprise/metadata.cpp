#include "metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "files/mapped_file.h"
#include "files/printable.h"
#include "media/image_text.h"
#include "media/video.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"
#include "sha256.h"

namespace reprise::app {

using options::Row;

namespace {

constexpr const char* kKey = "reprise";

/// Said otherwise: the prompt is the picture's own, reuse is "cache", and which of several pictures "number".
bool is_said_otherwise(const Row& row) {
    constexpr std::string_view kNames[] = {"prompt", "prompts", "reuse", "num_images_per_prompt",
                                           "only_picture"};
    return row.set == nullptr ||
           std::find(std::begin(kNames), std::end(kNames), row.name) != std::end(kNames);
}

/// "fps" of "video.fps".
std::string short_name(const Row& row) {
    return std::string(row.name.substr(row.name.rfind('.') + 1));
}

std::string as_text(const Json& value) {
    if (value.is_number_float()) return fmt::format("{}", value.get<double>());
    return value.is_string() ? value.get<std::string>() : text_of(value);
}

Json identity_of(const pipelines::DiffusionPipeline& pipe) {
    const auto identity = pipe.identity();
    return {{"pipeline", pipe.source()->class_name()},
            {"denoiser", identity.class_name},
            {"config", identity.config},
            {"weights", identity.weights}};
}

/// The last part of a path, of a model's folder that of the folder.
std::string shown_name(const std::filesystem::path& file) {
    const bool is_folder = file.filename() == "model_index.json";
    return (is_folder ? file.parent_path() : file).filename().string();
}

}  // namespace

Metadata::Metadata(const Session& session, const ModelOptions& model, const CacheOptions& cache,
                   const GenerateOptions& options, const GenerateOutput& output,
                   const Attachments& attachments)
    : options_(options),
      load_(session.pipe.implementation().load_options()),
      model_(model_name(model)),
      cache_(cache_text(cache, session.config)),
      scheduler_(output.report.scheduler),
      identity_(identity_of(session.pipe.implementation())) {
    const auto& pipe = session.pipe.implementation();
    if (!output.images.empty()) shows(output.images.front());
    options_.decode = true;
    options_.guidance_mode = output.report.guidance_mode;
    if (pipe.denoiser().model().traits().frames > 0)
        options_.video.num_frames = static_cast<int>(output.latents.dim(1));
    if (!pipe.honours(options::About::guidance)) options_.guidance_scale.reset();
    load_.backend = pipe.engine().backend->name();
    load_.precision = pipe.engine().options.precision;
    load_.vae_precision = pipe.vae_engine().options.precision;
    for (const auto& [name, file] : attachments)
        attached_[name] = {{"file", shown_name(file)}, {"sha256", sha256_of(file)}};
}

void Metadata::shows(const Image& picture) {
    options_.width = picture.width();
    options_.height = picture.height();
}

void Metadata::refined(const GenerateOptions& options, const GenerateOutput& output) {
    shows(output.images.front());
    GenerateOptions own;
    own.reuse = options.reuse;
    own.guidance_mode = output.report.guidance_mode;
    refiner_ = options::write(options::generate_options(), &own, options::kMetadata);
}

ImageText Metadata::texts(const GenerateOptions& options, const std::string& prompt,
                          std::size_t number) const {
    ImageText text;
    const auto add = [&](const std::string& key, const std::string& value) { text.emplace_back(key, value); };
    if (!prompt.empty()) add("prompt", prompt);
    for (const auto& [name, attached] : attached_.items()) add(name, attached["file"]);
    const options::Table& table = options::generate_options();
    for (const Row& row : table.rows)
        if ((row.counts & options::kMetadata) != 0 && !is_said_otherwise(row) &&
            (row.name == "seed" || table.differs(row, &options)))
            add(short_name(row), as_text(row.get(&options)));
    if (number > 0) add("number", std::to_string(number));
    add("scheduler_class", scheduler_);
    add("cache", cache_);
    add("model", model_);
    add("precision", as_text(options::load_options().find("precision")->get(&load_)));
    add("software", "reprise " REPRISE_VERSION);

    const Json whole = {{"version", REPRISE_VERSION},
                        {"model", identity_},
                        {"load", options::write(options::load_options(), &load_, options::kMetadata)},
                        {"call", options::write(table, &options, options::kMetadata)},
                        {"refiner", refiner_},
                        {"prompt", prompt},
                        {"attached", attached_.is_null() ? Json::object() : attached_}};
    add(kKey, whole.dump(-1, ' ', true, Json::error_handler_t::replace));  // on one line, of ASCII
    return text;
}

ImageText Metadata::of_picture(std::size_t number, std::size_t count, const std::string& prompt) const {
    GenerateOptions options = options_;
    if (!options.embeddings) {
        options.prompt = prompt;
        options.prompts.clear();
        if (!options.only_picture) options.num_images_per_prompt = static_cast<int>(count);
    }
    if (count > 1) options.only_picture = static_cast<int>(number);
    ImageText text = texts(options, prompt, count > 1 ? number + 1 : 0);
    // One text in the form that other programs look for.
    std::string parameters = prompt;
    if (options.negative_prompt) parameters += "\nNegative prompt: " + *options.negative_prompt;
    parameters += fmt::format(
        "\nSteps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}, "
        "Version: reprise " REPRISE_VERSION,
        *options.num_inference_steps, scheduler_, *options.guidance_scale, options.seed, options.width,
        options.height, model_);
    text.emplace_back("parameters", parameters);
    return text;
}

ImageText Metadata::of_video() const {
    return texts(options_, "", 0);
}

nlohmann::ordered_json Metadata::settings() const {
    nlohmann::ordered_json settings = {{"model", model_}, {"pipeline", identity_["pipeline"]}};
    const auto add = [&](const options::Table& table, const void* owner) {
        for (const Row& row : table.rows) {
            if ((row.counts & options::kMetadata) == 0 || is_said_otherwise(row)) continue;
            if (const Json value = row.get(owner); !value.is_null()) settings[short_name(row)] = value;
        }
    };
    add(options::generate_options(), &options_);
    add(options::load_options(), &load_);
    settings["num_images_per_prompt"] = options_.num_images_per_prompt;
    settings["scheduler_class"] = scheduler_;
    settings["cache"] = cache_;
    for (const auto& [name, attached] : attached_.items()) settings[name] = attached["file"];
    settings["version"] = REPRISE_VERSION;
    return settings;
}

namespace {

/// A policy may read files; what it chose is written as the configuration that it made.
void refuse_policies(const Reuse& reuse, const std::string& origin) {
    if (std::holds_alternative<std::string>(reuse.what) && !reuse.is_off())
        usage_error("{}: \"reuse\" is \"{}\", expected a configuration as a list, or \"off\"", origin,
                    printable(std::get<std::string>(reuse.what)));
    for (const auto& [denoiser, own] : reuse.of) refuse_policies(own, origin);
}

}  // namespace

Recalled Recalled::from(const std::string& file) {
    Recalled recalled;
    if (file.empty()) return recalled;
    recalled.file = file;
    auto text = text_in(MappedFile(file).bytes(), kKey);
    if (!text) text = text_in_lines(mp4_comment(file), kKey);
    if (!text)
        usage_error(
            "--like {}: no settings of reprise are in it; expected a .png, .webp or .mp4 that reprise wrote",
            file);
    const std::string origin = fmt::format("--like {}", file);
    const Json whole = parse_json(*text, origin);
    const auto part = [&](const char* key) { return get_or<Json>(whole, key, Json::object(), origin); };
    options::read(options::generate_options(), &recalled.call, require<Json>(whole, "call", origin), origin,
                  {}, options::kMetadata);
    options::read(options::load_options(), &recalled.load, part("load"), origin, {}, options::kMetadata);
    recalled.prompt = get_or(whole, "prompt", "", origin);
    recalled.identity = part("model");
    recalled.attached = part("attached");
    options::read(options::generate_options(), &recalled.refiner, part("refiner"), origin, {},
                  options::kMetadata);
    for (const auto& reuse : {recalled.call.reuse, recalled.refiner.reuse})
        if (reuse) refuse_policies(*reuse, origin);
    for (const auto& [name, attached] : recalled.attached.items()) {
        require<std::string>(attached, "file", origin);
        require<std::string>(attached, "sha256", origin);
    }
    return recalled;
}

CacheOptions Recalled::cache(CacheOptions flags, const GenerateOptions& of) const {
    if (!given() || flags.given) return flags;
    flags.like = of.reuse.value_or(Reuse());
    flags.cache = "like " + std::filesystem::path(file).filename().string();
    return flags;
}

void Recalled::check(const Attachments& attachments, Terminal& terminal) const {
    for (const auto& [name, its] : attached.items()) {
        const auto found = attachments.find(name);
        const auto its_file = printable(its["file"].get<std::string>());
        if (found == attachments.end())
            usage_error("--like {}: it was made with a file as {} ({}, SHA-256 {}): give it too", file,
                        printable(name), its_file, printable(its["sha256"].get<std::string>()));
        if (sha256_of(found->second) != its["sha256"].get<std::string>())
            terminal.note(fmt::format("--like {}: it was made with another file as {} ({})", file,
                                      printable(name), its_file));
    }
}

void Recalled::check(const Session& session, Terminal& terminal) const {
    if (given() && identity != identity_of(session.pipe.implementation()))
        terminal.note(fmt::format("--like {}: it was made by another model than this one", file));
}

void add_like_option(CLI::App& command, std::string& like) {
    command
        .add_option(
            "--like", like,
            "Draw again what this file of reprise's holds, by its metadata; other flags go before them")
        ->group("Output")
        ->type_name("FILE");
}

}  // namespace reprise::app
