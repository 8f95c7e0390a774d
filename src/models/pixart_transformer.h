#pragma once

#include <memory>
#include <optional>

#include "files/json.h"
#include "models/denoiser.h"
#include "models/embeddings.h"
#include "nn/pixart_block.h"

namespace reprise::models {

/// PixArtTransformer2DModel's config.json. Covers PixArt-alpha and PixArt-sigma.
struct PixArtTransformerConfig {
    std::int64_t sample_size = 128;  ///< of the latents it was trained for, both sides
    std::int64_t patch_size = 2;
    std::int64_t in_channels = 4;
    std::int64_t out_channels = 8;  ///< of the last layer: twice those of the sample with a learned variance
    std::int64_t num_layers = 28;
    std::int64_t cross_attention_dim = 1152;
    std::optional<std::int64_t> caption_channels;  ///< width of the text, where it is projected
    double interpolation_scale = 1;                ///< positions are divided by it
    bool use_additional_conditions = false;        ///< resolution and aspect ratio
    SinusoidalEmbedding embedding = {256, true, 0};
    nn::PixArtBlock block;

    /// Usage error naming the key for a value that is wrong or not supported.
    static PixArtTransformerConfig from(const Config& config);
    /// Of the stream inside.
    std::int64_t width() const { return block.heads * block.head_width; }
    std::int64_t text_width() const { return caption_channels.value_or(cross_attention_dim); }
    /// Of the prediction: without the learned variance.
    std::int64_t predicted_channels() const {
        return out_channels == 2 * in_channels ? in_channels : out_channels;
    }
};

/// Inputs, in this order: "sample" (B, C, H, W), "timestep_embedding" (1, 256), "encoder_hidden_states"
/// (B, tokens, text_width), "attention_mask" (B, tokens) and, with additional conditions,
/// "resolution_embedding" (B, 2, 256) and "aspect_ratio_embedding" (B, 256), all f32. Output: "sample"
/// (B, predicted_channels, H, W), f32. Usage error unless H and W are multiples of patch_size. `weights` may
/// be null and need not outlive the call.
graph::Graph build_pixart_transformer(const PixArtTransformerConfig& config, const DenoiserShape& shape,
                                      DType precision, const WeightSource* weights);

/// diffusers' get_2d_sincos_pos_embed for `rows` x `columns` patches: (1, rows * columns, width).
Tensor pixart_positions(const PixArtTransformerConfig& config, std::int64_t rows, std::int64_t columns);

std::unique_ptr<Denoiser> make_pixart_transformer(const Config& config);

}  // namespace reprise::models
