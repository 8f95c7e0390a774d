#pragma once

#include <memory>
#include <vector>

#include "files/json.h"
#include "models/denoiser.h"
#include "models/embeddings.h"
#include "nn/joint_transformer_block.h"

namespace reprise::models {

/// SD3Transformer2DModel's config.json. Covers Stable Diffusion 3 and 3.5.
struct Sd3TransformerConfig {
    std::int64_t sample_size = 128;  ///< of the latents it was trained for, both sides
    std::int64_t patch_size = 2;
    std::int64_t in_channels = 16, out_channels = 16;
    std::int64_t joint_attention_dim = 4096;    ///< width of the text
    std::int64_t pooled_projection_dim = 2048;  ///< width of the pooled text
    std::int64_t pos_embed_max_size = 96;       ///< sides, in patches, of the table of positions
    SinusoidalEmbedding timestep = {256, true, 0};
    std::vector<nn::JointTransformerBlock> blocks;

    /// Usage error naming the key for a value that is wrong or not supported.
    static Sd3TransformerConfig from(const Config& config);
    /// Of the streams inside.
    std::int64_t width() const { return blocks.front().heads * blocks.front().head_width; }
};

/// Inputs, in this order: "sample" (B, C, H, W), "timestep_embedding" (1, 256), "encoder_hidden_states"
/// (B, tokens, joint_attention_dim), "text_embeds" (B, pooled_projection_dim), all f32. Output: "sample"
/// (B, out_channels, H, W), f32. Usage error unless H and W are multiples of patch_size and, in patches, at
/// most pos_embed_max_size: positions are the middle of the checkpoint's table. `weights` may be null and
/// need not outlive the call.
graph::Graph build_sd3_transformer(const Sd3TransformerConfig& config, const DenoiserShape& shape,
                                   DType precision, const WeightSource* weights);

std::unique_ptr<Denoiser> make_sd3_transformer(const Config& config);

}  // namespace reprise::models
