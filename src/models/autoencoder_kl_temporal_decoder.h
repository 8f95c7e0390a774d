#pragma once

#include "core/weight_source.h"
#include "files/json.h"
#include "graph/graph.h"
#include "models/autoencoder_kl.h"

namespace reprise::models {

/// AutoencoderKLTemporalDecoder's config.json: an AutoencoderKL whose decoder sees a video's frames
/// together.
struct AutoencoderKLTemporalDecoderConfig {
    /// Channels, blocks, layers, scaling factor and force_upcast; its build_autoencoder_kl_encoder is this
    /// model's encoder.
    AutoencoderKLConfig pictures;

    /// Usage error naming the key for a value that is wrong or not supported.
    static AutoencoderKLTemporalDecoderConfig from(const Config& config);
};

/// Latents of one or several videos.
struct VideoShape {
    std::int64_t videos = 1;
    std::int64_t frames = 1;  ///< of each
    std::int64_t height = 0, width = 0;
};

/// Input "latents" (videos * frames, latent_channels, h, w), unscaled; output "frames" (videos * frames,
/// out_channels, h * scale, w * scale), around -1 to 1; both f32. Weights of the encoder may be there.
/// `weights` may be null and need not outlive the call.
graph::Graph build_temporal_decoder(const AutoencoderKLTemporalDecoderConfig& config,
                                    const VideoShape& latents, DType precision, const WeightSource* weights);

}  // namespace reprise::models
