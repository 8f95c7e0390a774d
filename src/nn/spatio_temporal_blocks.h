#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "graph/builder.h"
#include "nn/spatio_temporal.h"

namespace reprise::nn {

/// What the blocks of a video UNet read beside the frames.
struct VideoConditions {
    std::int64_t frames = 1;
    VideoTime time;
    graph::Value context;  ///< encoder_hidden_states (B, tokens, D)
    /// The sinusoidal embedding of the frames' numbers, (F, width).
    std::function<graph::Value(std::int64_t width)> frame_numbers;
};

/// One block of a video UNet (diffusers: models/unets/unet_3d_blocks.py).
struct SpatioTemporalBlock {
    std::int64_t out_channels = 0;
    std::int64_t layers = 1;  ///< resnets
    bool sampler = true;      ///< ends in a down- or upsampler
    float epsilon = 1e-5F;    ///< of the resnets
    /// One for each resnet in CrossAttn blocks, empty otherwise.
    std::vector<TransformerSpatioTemporal> transformers;
};

/// DownBlockSpatioTemporal or CrossAttnDownBlockSpatioTemporal. Outputs are as down_block's.
graph::Value down_block_spatio_temporal(graph::Builder& b, std::string_view name, graph::Value x,
                                        const VideoConditions& conditions, const SpatioTemporalBlock& block,
                                        std::vector<graph::Value>& skips);

/// UNetMidBlockSpatioTemporal: a resnet, the transformer, a resnet.
graph::Value mid_block_spatio_temporal(graph::Builder& b, std::string_view name, graph::Value x,
                                       const VideoConditions& conditions,
                                       const TransformerSpatioTemporal& transformer);

/// UpBlockSpatioTemporal or CrossAttnUpBlockSpatioTemporal. Takes its skips as up_block does.
graph::Value up_block_spatio_temporal(graph::Builder& b, std::string_view name, graph::Value x,
                                      const VideoConditions& conditions, const SpatioTemporalBlock& block,
                                      std::vector<graph::Value>& skips);

}  // namespace reprise::nn
