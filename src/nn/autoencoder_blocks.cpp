#include "nn/autoencoder_blocks.h"

#include <string>

#include "nn/attention.h"

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

Value resnets(Builder& b, Value x, const AutoencoderBlock& block) {
    for (std::int64_t i = 0; i < block.layers; ++i)
        x = resnet_block_2d(b, "resnets." + std::to_string(i), x, {}, block.out_channels, block.resnet);
    return x;
}

}  // namespace

Value down_encoder_block(Builder& b, std::string_view name, Value x, const AutoencoderBlock& block) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    x = resnets(b, x, block);
    if (block.sampler) x = downsample_2d(b, "downsamplers.0", x, 0);
    return scope.returns(x);
}

Value up_decoder_block(Builder& b, std::string_view name, Value x, const AutoencoderBlock& block) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    x = resnets(b, x, block);
    if (block.sampler) x = upsample_2d(b, "upsamplers.0", x, {2 * x.dim(2), 2 * x.dim(3)});
    return scope.returns(x);
}

Value autoencoder_mid_block(Builder& b, std::string_view name, Value x, const ResnetBlock2D& resnet,
                            bool with_attention) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    const auto channels = x.dim(1);
    x = resnet_block_2d(b, "resnets.0", x, {}, channels, resnet);
    if (with_attention) x = picture_attention(b, "attentions.0", x, resnet.groups, resnet.epsilon);
    x = resnet_block_2d(b, "resnets.1", x, {}, channels, resnet);
    return scope.returns(x);
}

}  // namespace reprise::nn
