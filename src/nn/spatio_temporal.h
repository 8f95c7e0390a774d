#pragma once

#include <cstdint>
#include <string_view>

#include "graph/builder.h"

namespace reprise::nn {

/// Frames of a video lie along the batch, (B * F, C, H, W), those of one video in a row. The layers below
/// treat every frame by itself and then the same pixel of all frames, and blend the two by a learned share
/// (diffusers: AlphaBlender, whose image_only_indicator is 0 in every pipeline).

/// How every group norm of diffusers' spatio-temporal models is made.
inline constexpr std::int64_t kSpatioTemporalGroups = 32;

/// diffusers' SpatioTemporalResBlock (models/resnet.py).
struct SpatioTemporalResBlock {
    std::int64_t frames = 1;
    float epsilon = 1e-5F;           ///< of the spatial half
    float temporal_epsilon = 1e-5F;  ///< of the temporal half
    bool blend_switched = false;     ///< the share is the temporal half's, as in the autoencoder
};

/// The time embedding with its activation applied; undefined in autoencoders.
struct VideoTime {
    graph::Value of_videos;  ///< (B, T)
    graph::Value of_frames;  ///< (B * F, T), or (1, T) where there is one video
};

/// x (B * F, C, H, W) to (B * F, out_channels, H, W).
graph::Value spatio_temporal_res_block(graph::Builder& b, std::string_view name, graph::Value x,
                                       const VideoTime& time, std::int64_t out_channels,
                                       const SpatioTemporalResBlock& options);

/// diffusers' TransformerSpatioTemporalModel (models/transformers/transformer_temporal.py).
struct TransformerSpatioTemporal {
    std::int64_t heads = 1;  ///< divides the channels
    std::int64_t layers = 1;
};

/// x (B * F, C, H, W), to which it is added. `context` is (B, tokens, D); `frame_numbers` the sinusoidal
/// embedding of 0 to F - 1, (F, C).
graph::Value transformer_spatio_temporal(graph::Builder& b, std::string_view name, graph::Value x,
                                         graph::Value context, graph::Value frame_numbers,
                                         const TransformerSpatioTemporal& options);

}  // namespace reprise::nn
