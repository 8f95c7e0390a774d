#include "nn/temporal_decoder_blocks.h"

#include <string>

#include "nn/attention.h"
#include "nn/resnet.h"
#include "nn/spatio_temporal.h"

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

constexpr float kEpsilon = 1e-6F, kTemporalEpsilon = 1e-5F;

Value resnet(Builder& b, std::int64_t i, Value x, std::int64_t frames, std::int64_t out_channels) {
    return spatio_temporal_res_block(b, "resnets." + std::to_string(i), x, {}, out_channels,
                                     {frames, kEpsilon, kTemporalEpsilon, true});
}

}  // namespace

Value mid_block_temporal_decoder(Builder& b, std::string_view name, Value x, std::int64_t frames,
                                 std::int64_t layers) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    const auto channels = x.dim(1);
    x = resnet(b, 0, x, frames, channels);
    if (mid_temporal_resnets(layers) > 1) {
        x = picture_attention(b, "attentions.0", x, kSpatioTemporalGroups, kEpsilon);
        x = resnet(b, 1, x, frames, channels);
    }
    return scope.returns(x);
}

Value up_block_temporal_decoder(Builder& b, std::string_view name, Value x, std::int64_t frames,
                                const TemporalDecoderBlock& block) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    for (std::int64_t i = 0; i < block.layers; ++i) x = resnet(b, i, x, frames, block.out_channels);
    if (block.sampler) x = upsample_2d(b, "upsamplers.0", x, {2 * x.dim(2), 2 * x.dim(3)});
    return scope.returns(x);
}

}  // namespace reprise::nn
