#include "models/registry.h"

#include <array>
#include <string>

#include "files/printable.h"
#include "models/pixart_transformer.h"
#include "models/sd3_transformer.h"
#include "models/unet2d_condition.h"
#include "models/unet_spatio_temporal.h"
#include "reprise/error.h"

namespace reprise::models {

namespace {

constexpr auto kClasses = std::to_array<ModelClass>({
    {"UNet2DConditionModel", Role::denoiser, make_unet2d_condition},
    {"UNetSpatioTemporalConditionModel", Role::denoiser, make_unet_spatio_temporal},
    {"SD3Transformer2DModel", Role::denoiser, make_sd3_transformer},
    {"PixArtTransformer2DModel", Role::denoiser, make_pixart_transformer},
    {"CLIPTextModel", Role::text_encoder},
    {"CLIPTextModelWithProjection", Role::text_encoder},
    {"T5EncoderModel", Role::text_encoder},
    {"CLIPVisionModelWithProjection", Role::image_encoder},
    {"AutoencoderKL", Role::autoencoder},
    {"AutoencoderKLTemporalDecoder", Role::video_autoencoder},
});

}  // namespace

std::span<const ModelClass> model_classes() {
    return kClasses;
}

std::string_view current_class_name(std::string_view name) {
    return name == "Transformer2DModel" ? "PixArtTransformer2DModel" : name;
}

const ModelClass& model_class(std::string_view name, Role role, std::string_view where) {
    std::string known;
    for (const auto& entry : kClasses) {
        if (entry.role != role) continue;
        if (entry.name == name) return entry;
        known += known.empty() ? "" : ", ";
        known += entry.name;
    }
    usage_error("{}: class '{}' is not supported here; supported: {}", where, printable(name), known);
}

std::unique_ptr<Denoiser> make_denoiser(std::string_view class_name, const Config& config) {
    return model_class(current_class_name(class_name), Role::denoiser, config.file).make_denoiser(config);
}

}  // namespace reprise::models
