#include "pipelines/registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <string>

#include "io/printable.h"
#include "models/registry.h"
#include "pipelines/component.h"
#include "pipelines/image_to_video.h"
#include "pipelines/pixart_conditioner.h"
#include "pipelines/sd3_conditioner.h"
#include "pipelines/text_conditioner.h"
#include "pipelines/text_to_image.h"
#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

constexpr std::string_view kStableDiffusionParts[] = {"text_encoder", "tokenizer", "unet", "vae",
                                                      "scheduler"};
constexpr std::string_view kStableDiffusionXLParts[] = {
    "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae", "scheduler"};

constexpr std::string_view kStableDiffusion3Parts[] = {
    "text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer",
    "tokenizer_2",  "tokenizer_3",    "transformer",    "vae",
    "scheduler"};

constexpr std::string_view kPixArtParts[] = {"text_encoder", "tokenizer", "transformer", "vae", "scheduler"};

constexpr std::string_view kStableVideoDiffusionParts[] = {"image_encoder", "feature_extractor", "unet",
                                                           "vae", "scheduler"};

/// Prompts are encoded by this class, or not at all.
template <class Encoder>
std::unique_ptr<Conditioner> conditioner_of(const PipelineParts& parts) {
    const bool missing = parts.structure_only && !parts.folder.has("text_encoder");
    if (!parts.options.text_encoders || missing) return nullptr;
    return std::make_unique<Encoder>(parts.folder, parts.engine, parts.options);
}

template <class Encoder>
std::unique_ptr<DiffusionPipeline> text_to_image(PipelineParts parts) {
    auto conditioner = conditioner_of<Encoder>(parts);
    return std::make_unique<TextToImage>(std::move(parts), std::move(conditioner), TextToImage::Binning{});
}

std::unique_ptr<DiffusionPipeline> pixart(PipelineParts parts) {
    const auto sample_size = parts.denoiser->model().traits().sample_height;
    const auto bins = AspectBins::find(sample_size, parts.folder.class_name() == "PixArtSigmaPipeline");
    if (!bins)
        spdlog::info(
            "{0}: no aspect-ratio bins are known for latents of {1}x{1}: it draws at the size asked for",
            parts.folder.path().string(), sample_size);
    auto conditioner = conditioner_of<PixArtConditioner>(parts);
    return std::make_unique<TextToImage>(std::move(parts), std::move(conditioner),
                                         TextToImage::Binning{true, bins});
}

std::unique_ptr<DiffusionPipeline> image_to_video(PipelineParts parts) {
    return std::make_unique<ImageToVideo>(std::move(parts));
}

constexpr auto kClasses = std::to_array<PipelineClass>({
    {"StableDiffusionXLPipeline", "unet", 5.0, 50, 77, kStableDiffusionXLParts,
     text_to_image<TextConditioner>},
    {"StableDiffusionPipeline", "unet", 7.5, 50, 77, kStableDiffusionParts, text_to_image<TextConditioner>},
    {"StableDiffusion3Pipeline", "transformer", 7.0, 28, 77 + 256, kStableDiffusion3Parts,
     text_to_image<Sd3Conditioner>},
    {"PixArtAlphaPipeline", "transformer", 4.5, 20, 120, kPixArtParts, pixart},
    {"PixArtSigmaPipeline", "transformer", 4.5, 20, 300, kPixArtParts, pixart},
    {"StableVideoDiffusionPipeline", "unet", 3.0, 25, 1, kStableVideoDiffusionParts, image_to_video},
});

Engine make_engine(const LoadOptions& options) {
    Engine engine;
    engine.backend = backends::create(options.backend);
    engine.options.device = options.device;
    engine.options.threads = options.threads;
    for (const auto& precision : {options.precision, options.vae_precision})
        if (precision) engine.backend->check_precision(options.device, *precision);
    return in_precision(engine, options.precision);
}

const PipelineClass& class_of(const ModelFolder& folder) {
    std::string known;
    for (const PipelineClass& entry : kClasses) {
        if (entry.name == folder.class_name()) return entry;
        known += known.empty() ? "" : ", ";
        known += entry.name;
    }
    usage_error("{}: this is a {}; Reprise runs {}", folder.path().string(), folder.class_name(), known);
}

/// What a call that does not say otherwise is made with: diffusers' defaults, unless the folder has others.
struct CallDefaults {
    int num_inference_steps;
    double guidance_scale;
};

CallDefaults call_defaults(const ModelFolder& folder, const PipelineClass& kind) {
    CallDefaults defaults{kind.num_inference_steps, kind.guidance_scale};
    const std::filesystem::path path = folder.path() / "reprise/defaults.json";
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return defaults;
    const Config config = Config::load(path);
    constexpr int kMostSteps = 100'000;
    for (const auto& [key, value] : config.json.items()) {
        if (key == "num_inference_steps" && value.is_number_integer() && value >= 1 && value <= kMostSteps)
            defaults.num_inference_steps = value.get<int>();
        else if (key == "guidance_scale" && value.is_number())
            defaults.guidance_scale = value.get<double>();
        else
            usage_error(
                "{}: \"{}\" is {}; expected num_inference_steps (1 to {}) and guidance_scale (a number) "
                "alone",
                config.file, printable(key), printable(text_of(value)), kMostSteps);
    }
    return defaults;
}

void name_unused(const ModelFolder& folder, const PipelineClass& kind) {
    for (const auto& [name, component] : folder.components())
        if (component &&
            std::find(kind.components.begin(), kind.components.end(), name) == kind.components.end())
            spdlog::info("{}: component {} ({}) is not used", folder.path().string(), name,
                         component->class_name);
}

}  // namespace

std::span<const PipelineClass> pipeline_classes() {
    return kClasses;
}

std::unique_ptr<DiffusionPipeline> open_pipeline(const std::filesystem::path& path,
                                                 const LoadOptions& options, bool structure_only) {
    ModelFolder folder(path);
    const PipelineClass& kind = class_of(folder);
    name_unused(folder, kind);
    const Engine engine = make_engine(options);
    const std::string class_name(models::current_class_name(folder.component(kind.denoiser).class_name));
    auto denoiser = std::make_unique<GuidedDenoiser>(
        class_name, models::make_denoiser(class_name, folder.config(kind.denoiser)),
        structure_only ? nullptr
                       : open_weights(folder.path(kind.denoiser), options.variant, engine.options.precision),
        engine);
    const CallDefaults defaults = call_defaults(folder, kind);
    return kind.make({std::move(folder), options, engine, std::move(denoiser), defaults.guidance_scale,
                      defaults.num_inference_steps, kind.text_tokens, structure_only});
}

}  // namespace reprise::pipelines
