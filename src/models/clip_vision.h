#pragma once

#include "core/weight_source.h"
#include "files/json.h"
#include "graph/builder.h"

namespace reprise::models {

/// config.json of transformers' CLIPVisionModelWithProjection, alone or as "vision_config" inside a whole
/// CLIP model's.
struct ClipVisionConfig {
    std::int64_t hidden_size = 768;
    std::int64_t intermediate_size = 3072;
    std::int64_t projection_dim = 512;
    std::int64_t num_hidden_layers = 12;
    std::int64_t num_attention_heads = 12;
    std::int64_t num_channels = 3;
    std::int64_t image_size = 224;
    std::int64_t patch_size = 32;
    graph::Unary hidden_act = graph::Unary::quick_gelu;
    float layer_norm_eps = 1e-5F;

    /// Usage error naming the key for a value that is wrong or not supported.
    static ClipVisionConfig from(const Config& config);
};

/// Input "pixel_values" (B, num_channels, image_size, image_size), normalised; output "image_embeds"
/// (B, projection_dim), both f32. `weights` may be null and need not outlive the call.
graph::Graph build_clip_vision(const ClipVisionConfig& config, std::int64_t batch, DType precision,
                               const WeightSource* weights);

}  // namespace reprise::models
