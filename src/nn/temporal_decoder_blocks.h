#pragma once

#include <string_view>

#include "graph/builder.h"

namespace reprise::nn {

/// Blocks of the decoder that sees a video's frames together (diffusers: models/unets/unet_3d_blocks.py).
/// Frames lie along the batch, as in spatio_temporal.h.
struct TemporalDecoderBlock {
    std::int64_t out_channels = 0;
    std::int64_t layers = 1;
    bool sampler = true;  ///< ends in an upsampler
};

/// How many of the middle block's `layers` resnets run: the second stands behind the one attention, which a
/// block of one layer does not reach; diffusers makes the weights of all.
constexpr std::int64_t mid_temporal_resnets(std::int64_t layers) {
    return layers < 2 ? 1 : 2;
}

/// MidBlockTemporalDecoder.
graph::Value mid_block_temporal_decoder(graph::Builder& b, std::string_view name, graph::Value x,
                                        std::int64_t frames, std::int64_t layers);
/// UpBlockTemporalDecoder.
graph::Value up_block_temporal_decoder(graph::Builder& b, std::string_view name, graph::Value x,
                                       std::int64_t frames, const TemporalDecoderBlock& block);

}  // namespace reprise::nn
