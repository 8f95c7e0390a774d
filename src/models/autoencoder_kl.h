#pragma once

#include <optional>
#include <vector>

#include "core/weight_source.h"
#include "files/json.h"
#include "graph/graph.h"
#include "nn/resnet.h"

namespace reprise::models {

/// AutoencoderKL's config.json.
struct AutoencoderKLConfig {
    std::int64_t in_channels = 3, out_channels = 3;
    std::int64_t latent_channels = 4;
    std::vector<std::int64_t> block_out_channels = {64};
    std::int64_t layers_per_block = 1;
    nn::ResnetBlock2D resnet;
    bool use_quant_conv = true, use_post_quant_conv = true;
    bool mid_block_add_attention = true;
    /// What pipelines need: latents of the denoiser are (z - shift) * scaling, or with mean and deviation
    /// of each channel (z - mean) * scaling / deviation.
    float scaling_factor = 0.18215F;
    std::optional<float> shift_factor;
    std::optional<std::vector<float>> latents_mean, latents_std;  ///< one per latent channel, both or none
    bool force_upcast = true;                                     ///< overflows in f16
    std::int64_t sample_height = 32, sample_width = 32;           ///< pictures it was trained for

    /// Usage error naming the key for a value that is wrong or not supported.
    static AutoencoderKLConfig from(const Config& config);
    /// Pixels per latent, along each side.
    std::int64_t scale() const { return std::int64_t{1} << (block_out_channels.size() - 1); }
};

/// A batch of latents or pictures.
struct PictureShape {
    std::int64_t batch = 1;
    std::int64_t height = 0, width = 0;
};

/// Input "latents" (B, latent_channels, h, w), unscaled; output "image" (B, out_channels, h * scale,
/// w * scale), around -1 to 1; both f32. Weights of the encoder may be there. `weights` may be null and need
/// not outlive the call.
graph::Graph build_autoencoder_kl_decoder(const AutoencoderKLConfig& config, const PictureShape& latents,
                                          DType precision, const WeightSource* weights);

/// Input "image" (B, in_channels, H, W); output "moments" (B, 2 * latent_channels, H / scale, W / scale):
/// means, then logarithms of variances. Weights of the decoder may be there.
graph::Graph build_autoencoder_kl_encoder(const AutoencoderKLConfig& config, const PictureShape& image,
                                          DType precision, const WeightSource* weights);

}  // namespace reprise::models
