#include "pipelines/registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "files/checkpoint.h"
#include "files/model_folder.h"
#include "files/printable.h"
#include "models/registry.h"
#include "models/weight_names.h"
#include "options/row.h"
#include "pipelines/as_loaded.h"
#include "pipelines/image_to_video.h"
#include "pipelines/pixart_conditioner.h"
#include "pipelines/sd3_conditioner.h"
#include "pipelines/text_conditioner.h"
#include "pipelines/text_to_image.h"
#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

using Names = const std::string_view[];

constexpr Names kClipText = {"CLIPTextModel"};
constexpr Names kClipTextProjected = {"CLIPTextModelWithProjection"};
constexpr Names kClipTextAny = {"CLIPTextModel", "CLIPTextModelWithProjection"};
constexpr Names kClipVision = {"CLIPVisionModelWithProjection"};
// The last two are any kind's, by what tokenizer.json says.
constexpr Names kClipTokens = {"CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast",
                               "TokenizersBackend"};
constexpr Names kT5Text = {"T5EncoderModel"};
constexpr Names kT5Tokens = {"T5Tokenizer", "T5TokenizerFast", "PreTrainedTokenizerFast",
                             "TokenizersBackend"};
constexpr Names kUNet = {"UNet2DConditionModel"};
constexpr Names kSd3 = {"SD3Transformer2DModel"};
constexpr Names kPixArt = {"PixArtTransformer2DModel", "Transformer2DModel"};
constexpr Names kVideoUNet = {"UNetSpatioTemporalConditionModel"};
constexpr Names kPictures = {"AutoencoderKL"};
constexpr Names kFrames = {"AutoencoderKLTemporalDecoder"};
// A scheduler's registry says which there are; of an image processor two values are read.
constexpr std::span<const std::string_view> kAny;

constexpr Part kStableDiffusionParts[] = {{"text_encoder", kClipText},
                                          {"tokenizer", kClipTokens},
                                          {"unet", kUNet},
                                          {"vae", kPictures},
                                          {"scheduler", kAny}};
constexpr Part kStableDiffusionXLParts[] = {{"text_encoder", kClipTextAny},
                                            {"text_encoder_2", kClipTextProjected},
                                            {"tokenizer", kClipTokens},
                                            {"tokenizer_2", kClipTokens},
                                            {"unet", kUNet},
                                            {"vae", kPictures},
                                            {"scheduler", kAny}};
constexpr Part kStableDiffusion3Parts[] = {{"text_encoder", kClipTextProjected},
                                           {"text_encoder_2", kClipTextProjected},
                                           {"text_encoder_3", kT5Text},
                                           {"tokenizer", kClipTokens},
                                           {"tokenizer_2", kClipTokens},
                                           {"tokenizer_3", kT5Tokens},
                                           {"transformer", kSd3},
                                           {"vae", kPictures},
                                           {"scheduler", kAny}};
constexpr Part kPixArtParts[] = {{"text_encoder", kT5Text},
                                 {"tokenizer", kT5Tokens},
                                 {"transformer", kPixArt},
                                 {"vae", kPictures},
                                 {"scheduler", kAny}};
constexpr Part kStableVideoDiffusionParts[] = {{"image_encoder", kClipVision},
                                               {"feature_extractor", kAny},
                                               {"unet", kVideoUNet},
                                               {"vae", kFrames},
                                               {"scheduler", kAny}};

/// Prompts are encoded by this class, or not at all.
template <class Encoder>
std::unique_ptr<Conditioner> conditioner_of(const PipelineParts& parts) {
    const bool missing = parts.structure_only && !parts.source->has("text_encoder");
    if (!parts.options.text_encoders || missing) return nullptr;
    return std::make_unique<Encoder>(parts.source, parts.engine, parts.options);
}

template <class Encoder>
std::unique_ptr<DiffusionPipeline> text_to_image(PipelineParts parts) {
    auto conditioner = conditioner_of<Encoder>(parts);
    return std::make_unique<TextToImage>(std::move(parts), std::move(conditioner), TextToImage::Binning{});
}

std::unique_ptr<DiffusionPipeline> pixart(PipelineParts parts) {
    const auto sample_size = parts.denoisers.front().denoiser->model().traits().sample_height;
    const auto bins = AspectBins::find(sample_size, parts.source->class_name() == "PixArtSigmaPipeline");
    if (!bins)
        spdlog::info(
            "{0}: no aspect-ratio bins are known for latents of {1}x{1}: it draws at the size asked for",
            parts.source->description(), sample_size);
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
    {"StableDiffusionXLImg2ImgPipeline", "unet", 5.0, 50, 77, kStableDiffusionXLParts,
     text_to_image<TextConditioner>},
    {"StableDiffusionPipeline", "unet", 7.5, 50, 77, kStableDiffusionParts, text_to_image<TextConditioner>},
    {"StableDiffusion3Pipeline", "transformer", 7.0, 28, 77 + 256, kStableDiffusion3Parts,
     text_to_image<Sd3Conditioner>},
    {"PixArtAlphaPipeline", "transformer", 4.5, 20, 120, kPixArtParts, pixart},
    {"PixArtSigmaPipeline", "transformer", 4.5, 20, 300, kPixArtParts, pixart},
    {"StableVideoDiffusionPipeline", "unet", 3.0, 25, 1, kStableVideoDiffusionParts, image_to_video},
});

Engine make_engine(const LoadOptions& options, std::shared_ptr<backends::Backend> backend) {
    options::check_values(options::load_options(), &options);
    Engine engine;
    engine.backend = backend ? std::move(backend) : backends::create(options.backend);
    engine.options.device = options.device;
    engine.options.threads = options.threads;
    for (const auto& precision : {options.precision, options.vae_precision})
        if (precision) engine.backend->check_precision(options.device, *precision);
    return in_precision(engine, options.precision);
}

/// The options with the older name of one of them replaced.
LoadOptions with_memory_limit(LoadOptions options) {
    if (options.keep_parameters_below) {
        spdlog::warn("keep_parameters_below is called memory_limit now, in bytes");
        if (options.memory_limit) usage_error("memory_limit and keep_parameters_below are both given");
        constexpr std::int64_t kBytes = 4;  // of a parameter in f32
        options.memory_limit =
            std::min(*options.keep_parameters_below, std::numeric_limits<std::int64_t>::max() / kBytes) *
            kBytes;
    }
    if (options.memory_limit.value_or(0) < 0)
        usage_error("memory_limit is {}; expected 0 or more bytes", *options.memory_limit);
    return options;
}

const PipelineClass& class_of(const ModelSource& source) {
    std::string known;
    for (const PipelineClass& entry : kClasses) {
        if (entry.name == source.class_name()) return entry;
        known += known.empty() ? "" : ", ";
        known += entry.name;
    }
    usage_error("{}: this is a {}; Reprise runs {}", source.description(), source.class_name(), known);
}

/// What a call that does not say otherwise is made with: diffusers' defaults, unless the folder has others.
struct CallDefaults {
    int num_inference_steps;
    double guidance_scale;
};

CallDefaults call_defaults(const ModelSource& source, const PipelineClass& kind) {
    CallDefaults defaults{kind.num_inference_steps, kind.guidance_scale};
    if (source.folder().empty()) return defaults;
    const std::filesystem::path path = source.folder() / "reprise/defaults.json";
    std::error_code ignored;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return defaults;
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

/// Refuses parts that the pipeline cannot use, and names those that it does not read.
void check_parts(const ModelSource& source, const PipelineClass& kind, const LoadOptions& options) {
    for (const auto& [name, component] : source.components()) {
        if (!component) continue;
        const auto part = std::find_if(kind.parts.begin(), kind.parts.end(),
                                       [&own = name](const Part& entry) { return entry.name == own; });
        if (part == kind.parts.end()) {
            spdlog::info("{}: component {} ({}) is not used", source.description(), name,
                         printable(component->class_name));
            continue;
        }
        if (!options.text_encoders && (name.starts_with("text_encoder") || name.starts_with("tokenizer")))
            continue;
        const auto& classes = part->classes;
        if (!classes.empty() &&
            std::find(classes.begin(), classes.end(), component->class_name) == classes.end())
            usage_error("{}: component {} is of class {}; for a {} Reprise has {}", source.description(),
                        name, printable(component->class_name), kind.name, fmt::join(classes, ", "));
        if (!is_model(name) || !source.has(name)) continue;
        if (const Config config = source.config(name); config.has("quantization_config"))
            usage_error("{}: \"quantization_config\" is given; Reprise does not run quantized weights",
                        config.file);
    }
}

/// Refuses a variant that no component has, and names those that have none.
void check_variant(const ModelFolder& folder, const PipelineClass& kind, const std::string& variant) {
    if (variant.empty()) return;
    std::vector<std::string_view> without;
    bool found = false;
    for (const auto& [name, component] : folder.components()) {
        const bool has = component && has_variant(folder.folder() / name, variant);
        found |= has;
        const bool is_read = std::any_of(kind.parts.begin(), kind.parts.end(),
                                         [&own = name](const Part& part) { return part.name == own; });
        if (!has && component && is_model(name) && is_read) without.push_back(name);
    }
    if (!found)
        usage_error("{}: no component has weights of variant \"{}\"; leave it out to take the plain ones",
                    folder.description(), variant);
    if (!without.empty())
        spdlog::info("{}: plain weights, for want of variant \"{}\": {}", folder.description(), variant,
                     fmt::join(without, ", "));
}

}  // namespace

std::span<const PipelineClass> pipeline_classes() {
    return kClasses;
}

std::unique_ptr<DiffusionPipeline> open_pipeline(const std::filesystem::path& path,
                                                 const LoadOptions& options, bool structure_only,
                                                 std::shared_ptr<backends::Backend> backend) {
    auto folder =
        std::make_shared<const ModelFolder>(path, ModelFolderOptions{options.variant, models::name_rule});
    const PipelineClass& kind = class_of(*folder);
    if (!structure_only) check_variant(*folder, kind, options.variant);
    return open_pipeline(std::move(folder), options, structure_only, std::move(backend));
}

std::unique_ptr<DiffusionPipeline> open_pipeline(std::shared_ptr<const ModelSource> model,
                                                 const LoadOptions& asked, bool structure_only,
                                                 std::shared_ptr<backends::Backend> backend) {
    const LoadOptions options = with_memory_limit(asked);
    const PipelineClass& kind = class_of(*model);
    check_parts(*model, kind, options);
    auto source = as_loaded(std::move(model));
    const Engine engine = make_engine(options, std::move(backend));
    const std::string class_name(models::current_class_name(source->component(kind.denoiser).class_name));
    std::vector<NamedDenoiser> denoisers;
    denoisers.push_back(
        {std::string(kind.denoiser),
         std::make_unique<GuidedDenoiser>(
             class_name, models::make_denoiser(class_name, source->config(kind.denoiser)),
             structure_only ? nullptr
                            : in_precision(source->weights(kind.denoiser), engine.options.precision),
             engine)});
    const CallDefaults defaults = call_defaults(*source, kind);
    return kind.make({std::move(source), options, engine, std::move(denoisers), defaults.guidance_scale,
                      defaults.num_inference_steps, kind.text_tokens, structure_only});
}

}  // namespace reprise::pipelines
