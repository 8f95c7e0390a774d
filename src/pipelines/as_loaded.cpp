#include "pipelines/as_loaded.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "models/denoiser.h"
#include "models/unet2d_condition.h"
#include "reprise/error.h"
#include "schedulers/registry.h"

namespace reprise::pipelines {

namespace {

constexpr std::string_view kStableDiffusion = "StableDiffusionPipeline";
constexpr std::string_view kStableDiffusionXL = "StableDiffusionXLPipeline";
/// Of Stable Diffusion XL's refiner.
constexpr std::string_view kStableDiffusionXLImg2Img = "StableDiffusionXLImg2ImgPipeline";
/// Its code neither scales the noise nor what the denoiser takes, whatever the scheduler.
constexpr std::string_view kStableDiffusion3 = "StableDiffusion3Pipeline";
/// The other pipelines' code asks schedulers for a scale of the noise, which this one does not have.
constexpr std::string_view kFlowMatchEuler = "FlowMatchEulerDiscreteScheduler";

/// How a pipeline's class undoes the scaling of latents: what it does not read of its autoencoder is null.
struct LatentScale {
    std::string_view pipeline;
    bool shift, statistics;
};
constexpr auto kLatentScales = std::to_array<LatentScale>({
    {kStableDiffusion, false, false},
    {kStableDiffusionXL, false, true},
    {kStableDiffusionXLImg2Img, false, true},
    {kStableDiffusion3, true, false},
    {"PixArtAlphaPipeline", false, false},
    {"PixArtSigmaPipeline", false, false},
});

/// Values that a scheduler's class replaces by its own when it is made, and what another class makes of these
/// where its configuration is passed on.
struct Replaced {
    std::string_view scheduler, key, value;
};
constexpr auto kReplaced = std::to_array<Replaced>({
    {"DEISMultistepScheduler", "algorithm_type", "dpmsolver++"},
    {"DEISMultistepScheduler", "solver_type", "logrho"},
    {"UniPCMultistepScheduler", "solver_type", "bh2"},
});

/// Whether a version such as "0.8.1" comes before 0.9.
bool is_before_0_9(std::string_view version) {
    const auto number = [&]() -> int {
        int value = 0;
        const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), value);
        if (error != std::errc()) return -1;
        version.remove_prefix(static_cast<std::size_t>(end - version.data()));
        return value;
    };
    if (number() != 0 || !version.starts_with('.')) return false;
    version.remove_prefix(1);
    const int minor = number();
    return minor >= 0 && minor < 9;
}

/// StableDiffusionPipeline takes a small sample_size in an old UNet's configuration for a mistake.
Json corrected_sample_size(const ModelSource& source) {
    constexpr int kTrainedSize = 64;
    if (!source.has("unet")) return Json::object();
    const Json unet = source.config("unet").json;
    const auto version = unet.find("_diffusers_version");
    const auto size = unet.find("sample_size");
    if (version != unet.end() && version->is_string() &&
        is_before_0_9(version->get_ref<const std::string&>()) && size != unet.end() &&
        size->is_number_integer() && *size < kTrainedSize)
        return {{"sample_size", kTrainedSize}};
    return Json::object();
}

Json unread_scales(const ModelSource& source, const LatentScale& scale) {
    Json values = Json::object();
    if (!source.has("vae")) return values;
    const Config vae = source.config("vae");
    if (!scale.shift) values["shift_factor"] = nullptr;
    if (!scale.statistics || !vae.has("latents_mean") || !vae.has("latents_std"))  // one alone is unread too
        values["latents_mean"] = values["latents_std"] = nullptr;
    return values;
}

/// StableDiffusionPipeline's corrections of its scheduler. They hold for the keys that the file has, and in
/// the scheduler itself (`own`) for its class's defaults, which another class does not take over.
void correct_scheduler(Json& config, bool own) {
    const auto corrected = [&](const char* key, bool wrong_by_default, const auto& is_wrong) {
        const auto found = config.find(key);
        return found == config.end() ? own && wrong_by_default : is_wrong(*found);
    };
    if (corrected("steps_offset", true, [](const Json& value) { return value != 1; }))
        config["steps_offset"] = 1;
    if (corrected("clip_sample", true, [](const Json& value) { return value == true; }))
        config["clip_sample"] = false;
}

}  // namespace

bool is_set(const Config& index, const char* key, bool otherwise) {
    if (index.json.contains(key) && index.json[key].is_null()) return false;
    return index.get_or(key, otherwise);
}

bool is_stable_diffusion_xl(const ModelSource& source) {
    return source.class_name() == kStableDiffusionXL || source.class_name() == kStableDiffusionXLImg2Img;
}

bool takes_aesthetic_score(const ModelSource& source) {
    return source.class_name() == kStableDiffusionXLImg2Img &&
           is_set(source.index(), "requires_aesthetics_score", false);
}

std::shared_ptr<const ModelSource> as_loaded(std::shared_ptr<const ModelSource> source) {
    OverlaidModel::Values values;
    const auto scale = std::find_if(kLatentScales.begin(), kLatentScales.end(),
                                    [&](const auto& row) { return row.pipeline == source->class_name(); });
    if (scale != kLatentScales.end()) values["vae"] = unread_scales(*source, *scale);
    if (source->class_name() == kStableDiffusion) values["unet"] = corrected_sample_size(*source);
    if (is_stable_diffusion_xl(*source) && source->has("unet"))
        values["unet"] = {{models::kNumTimeIds, takes_aesthetic_score(*source) ? models::kCropAndScoreIds
                                                                               : models::kSizeAndCropIds}};
    return std::make_shared<OverlaidModel>(std::move(source), std::move(values));
}

std::unique_ptr<Scheduler> scheduler_as_loaded(const ModelSource& source, const std::string& name) {
    const bool own = name.empty();
    const std::string& own_class = source.component("scheduler").class_name;
    Config config = source.config("scheduler");
    if (const auto unset = config.find<std::vector<std::string>>("_use_default_values"))
        for (const std::string& key : *unset) config.json.erase(key);
    for (const Replaced& row : kReplaced)
        if (!own && own_class == row.scheduler && config.json.contains(row.key))
            config.json[std::string(row.key)] = row.value;
    if (source.class_name() == kStableDiffusion) correct_scheduler(config.json, own);
    auto scheduler = make_scheduler(own ? own_class : name, config.json, config.file);
    if (source.class_name() == kStableDiffusion3)
        scheduler->set_scales(false);
    else if (scheduler->name() == kFlowMatchEuler)
        usage_error("{} is for models that are trained by flow matching; a {} is none", scheduler->name(),
                    source.class_name());
    return scheduler;
}

}  // namespace reprise::pipelines
