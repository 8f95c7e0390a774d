#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "files/json.h"
#include "models/denoiser.h"
#include "models/embeddings.h"
#include "nn/embeddings.h"
#include "nn/unet_blocks.h"

namespace reprise::models {

/// A key that the pipeline's class lays over the UNet's configuration: how many ids describe the picture. The
/// file has the width of all that is added alone.
inline constexpr const char* kNumTimeIds = "_num_time_ids";

/// UNet2DConditionModel's config.json, resolved: what every block is made of. Covers Stable Diffusion 1.x,
/// 2.x and XL.
struct UNet2DConditionConfig {
    /// The pooled text and the sizes that Stable Diffusion XL adds to the time embedding ("text_time").
    struct TextTime {
        std::int64_t pooled_width = 0;  ///< of text_embeds
        SinusoidalEmbedding ids;
        std::int64_t num_ids = 0;  ///< which the pipeline's class says
    };

    std::int64_t in_channels = 4, out_channels = 4;
    std::int64_t sample_height = 0, sample_width = 0;  ///< 0: not said
    bool center_input_sample = false;
    std::int64_t conv_in_kernel = 3, conv_out_kernel = 3;
    SinusoidalEmbedding timestep;
    nn::TimestepEmbedding time_embedding;
    std::optional<graph::Unary> time_embedding_activation;
    std::optional<TextTime> text_time;
    std::int64_t text_width = 0;
    nn::ResnetBlock2D resnet;      ///< of the output norm and of all but the middle block
    nn::ResnetBlock2D mid_resnet;  ///< scaled by mid_block_scale_factor
    bool has_mid_block = true;
    std::optional<nn::Transformer2D> mid_transformer;
    std::vector<nn::UNetBlock> down_blocks, up_blocks;

    /// Usage error naming the key for a value that is wrong or not supported.
    static UNet2DConditionConfig from(const Config& config);
};

/// Inputs, in this order: "sample" (B, C, H, W), "timestep_embedding" (1, timestep.width),
/// "encoder_hidden_states" (B, tokens, text_width) and, with text_time, "text_embeds" (B, pooled_width) and
/// "time_ids_embedding" (B, num_ids * ids.width), all f32. Output: "sample" (B, out_channels, H, W), f32.
/// `weights` may be null and need not outlive the call.
graph::Graph build_unet2d_condition(const UNet2DConditionConfig& config, const DenoiserShape& shape,
                                    DType precision, const WeightSource* weights);

std::unique_ptr<Denoiser> make_unet2d_condition(const Config& config);

}  // namespace reprise::models
