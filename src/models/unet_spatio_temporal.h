#pragma once

#include <vector>

#include "files/json.h"
#include "models/denoiser.h"
#include "models/embeddings.h"
#include "nn/spatio_temporal_blocks.h"

namespace reprise::models {

/// UNetSpatioTemporalConditionModel's config.json, resolved: the denoiser of Stable Video Diffusion.
struct UNetSpatioTemporalConfig {
    std::int64_t in_channels = 8, out_channels = 4;
    std::int64_t sample_height = 0, sample_width = 0;  ///< 0: not said
    SinusoidalEmbedding timestep;
    SinusoidalEmbedding added_id;  ///< of each of `added_ids` numbers
    std::int64_t added_ids = 3;
    std::int64_t context_width = 1024;  ///< of the picture's embedding
    std::int64_t num_frames = 25;       ///< that it was trained for
    std::vector<nn::SpatioTemporalBlock> down_blocks, up_blocks;
    nn::TransformerSpatioTemporal mid_transformer;

    /// Usage error naming the key for a value that is wrong or not supported.
    static UNetSpatioTemporalConfig from(const Config& config);
    /// Of the picture's latents, laid beside the sample's: what the input has more than the output.
    std::int64_t image_channels() const {
        return in_channels > out_channels ? in_channels - out_channels : 0;
    }
};

/// Inputs, in this order: "sample" (B, F, C, H, W), "timestep_embedding" (1, timestep.width),
/// "encoder_hidden_states" (B, tokens, context_width), "time_ids_embedding" (B, added_ids * added_id.width)
/// and, with image_channels, "image_latents" (B, F, image_channels, H, W), all f32. Output: "sample"
/// (B, F, out_channels, H, W), f32. `weights` may be null and need not outlive the call.
graph::Graph build_unet_spatio_temporal(const UNetSpatioTemporalConfig& config, const DenoiserShape& shape,
                                        DType precision, const WeightSource* weights);

std::unique_ptr<Denoiser> make_unet_spatio_temporal(const Config& config);

}  // namespace reprise::models
