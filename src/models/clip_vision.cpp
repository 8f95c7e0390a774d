#include "models/clip_vision.h"

#include <array>
#include <string>
#include <string_view>

#include "models/config_checks.h"
#include "nn/clip_layers.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Builder;
using graph::Value;

namespace {

/// Without effect: attention_dropout.
constexpr auto kKeys = std::to_array<std::string_view>({
    "hidden_size",
    "intermediate_size",
    "projection_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "num_channels",
    "image_size",
    "patch_size",
    "hidden_act",
    "layer_norm_eps",
    "attention_dropout",
    "dropout",
});

/// The class token, then the patches, with their positions: (B, 1 + patches, C).
Value embeddings(Builder& b, Value pixels, const ClipVisionConfig& config) {
    const auto scope = b.module("embeddings");
    const auto batch = pixels.dim(0);
    const auto width = config.hidden_size;
    const auto side = config.image_size / config.patch_size;
    const auto patch = config.patch_size;
    Value x = b.convolution(pixels, "patch_embedding", {width, {patch, patch}, {patch, patch}, {}, false});
    x = b.reshape(b.transpose(x, {0, 2, 3, 1}), {batch, side * side, width});
    const Value token = b.repeat(b.reshape(b.weight("class_embedding", {width}), {1, 1, width}), 0, batch);
    return b.concat({token, x}, 1) + b.weight("position_embedding.weight", {1 + side * side, width});
}

}  // namespace

ClipVisionConfig ClipVisionConfig::from(const Config& whole) {
    const Config config = part_of(whole, "vision_config");
    warn_of_unknown_transformers_keys(config, kKeys);

    ClipVisionConfig result;
    result.hidden_size = get_size(config, "hidden_size", result.hidden_size);
    result.intermediate_size = get_size(config, "intermediate_size", result.intermediate_size);
    result.projection_dim = get_size(config, "projection_dim", result.projection_dim);
    result.num_hidden_layers = get_size(config, "num_hidden_layers", result.num_hidden_layers, kMaxDepth);
    result.num_attention_heads = get_size(config, "num_attention_heads", result.num_attention_heads);
    if (result.hidden_size % result.num_attention_heads != 0)
        usage_error("{}: \"hidden_size\", {}, does not divide by \"num_attention_heads\", {}", config.file,
                    result.hidden_size, result.num_attention_heads);
    result.num_channels = get_size(config, "num_channels", result.num_channels);
    result.image_size = get_size(config, "image_size", result.image_size, 1 << 12);
    result.patch_size = get_size(config, "patch_size", result.patch_size, 1 << 12);
    if (result.patch_size > result.image_size)
        usage_error("{}: \"patch_size\" is {}, more than \"image_size\", {}", config.file, result.patch_size,
                    result.image_size);
    result.hidden_act = get_activation(config, "hidden_act", "quick_gelu");
    result.layer_norm_eps = config.get_or("layer_norm_eps", result.layer_norm_eps);
    return result;
}

graph::Graph build_clip_vision(const ClipVisionConfig& config, std::int64_t batch, DType precision,
                               const WeightSource* weights) {
    check_shape("pictures", batch, config.image_size, config.image_size);
    Builder b("image_encoder", precision, weights);
    const Value pixels =
        b.real_input("pixel_values", {batch, config.num_channels, config.image_size, config.image_size});
    Value x;
    {
        const auto scope = b.module("vision_model");
        const float epsilon = config.layer_norm_eps;
        const nn::ClipEncoderLayer layer = {config.num_attention_heads, config.intermediate_size,
                                            config.hidden_act, epsilon, false};
        x = b.layer_norm(embeddings(b, pixels, config), "pre_layrnorm", epsilon);
        for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
            x = nn::clip_encoder_layer(b, "encoder.layers." + std::to_string(i), x, layer);
        const Value token = b.reshape(b.slice(x, 1, 0, 1), {batch, config.hidden_size});
        x = b.layer_norm(token, "post_layernorm", epsilon);
    }
    x = b.linear(x, "visual_projection", config.projection_dim, false);
    b.output("image_embeds", b.convert(x, DType::f32));
    return b.finish();
}

}  // namespace reprise::models
