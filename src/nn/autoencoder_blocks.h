#pragma once

#include <string_view>

#include "graph/builder.h"
#include "nn/resnet.h"

namespace reprise::nn {

/// One block of an autoencoder (diffusers: DownEncoderBlock2D, UpDecoderBlock2D).
struct AutoencoderBlock {
    std::int64_t out_channels = 0;
    std::int64_t layers = 1;
    bool sampler = true;  ///< ends in a down- or upsampler
    ResnetBlock2D resnet;
};

graph::Value down_encoder_block(graph::Builder& b, std::string_view name, graph::Value x,
                                const AutoencoderBlock& block);
graph::Value up_decoder_block(graph::Builder& b, std::string_view name, graph::Value x,
                              const AutoencoderBlock& block);
/// UNetMidBlock2D: a resnet, an attention if asked for, a resnet.
graph::Value autoencoder_mid_block(graph::Builder& b, std::string_view name, graph::Value x,
                                   const ResnetBlock2D& resnet, bool with_attention);

}  // namespace reprise::nn
