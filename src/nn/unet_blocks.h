#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "graph/builder.h"
#include "nn/attention.h"
#include "nn/resnet.h"

namespace reprise::nn {

/// What the blocks of a UNet read beside the picture.
struct UNetConditions {
    graph::Value time;  ///< the time embedding (B or 1, T), its activation applied
    graph::Value text;  ///< encoder_hidden_states (B, tokens, D)
};

/// One down block or up block (diffusers: models/unets/unet_2d_blocks.py).
struct UNetBlock {
    std::int64_t out_channels = 0;
    std::int64_t layers = 1;              ///< resnets
    bool sampler = true;                  ///< ends in a down- or upsampler
    std::int64_t downsample_padding = 1;  ///< as downsample_2d's
    ResnetBlock2D resnet;
    /// One for each resnet in CrossAttn blocks, empty otherwise.
    std::vector<Transformer2D> transformers;
};

/// DownBlock2D or CrossAttnDownBlock2D. Output 0 of the module is the returned value; outputs 1, 2, ... are
/// the skips, appended to `skips` in order.
graph::Value down_block(graph::Builder& b, std::string_view name, graph::Value x,
                        const UNetConditions& conditions, const UNetBlock& block,
                        std::vector<graph::Value>& skips);

/// UNetMidBlock2DCrossAttn, or UNetMidBlock2D with its one resnet when there is no transformer.
graph::Value mid_block(graph::Builder& b, std::string_view name, graph::Value x,
                       const UNetConditions& conditions, const ResnetBlock2D& resnet,
                       const std::optional<Transformer2D>& transformer);

/// UpBlock2D or CrossAttnUpBlock2D. Takes one skip per resnet from the end of `skips`; its upsampler gives
/// the size of the last skip that is left (diffusers' `upsample_size`).
graph::Value up_block(graph::Builder& b, std::string_view name, graph::Value x,
                      const UNetConditions& conditions, const UNetBlock& block,
                      std::vector<graph::Value>& skips);

}  // namespace reprise::nn
