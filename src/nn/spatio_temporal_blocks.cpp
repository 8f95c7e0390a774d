#include "nn/spatio_temporal_blocks.h"

#include <string>

#include "nn/resnet.h"

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

constexpr float kMidEpsilon = 1e-5F;

std::string numbered(const char* list, std::size_t i) {
    return list + std::to_string(i);
}

Value resnet(Builder& b, std::size_t i, Value x, const VideoConditions& conditions, std::int64_t out_channels,
             float epsilon) {
    return spatio_temporal_res_block(b, numbered("resnets.", i), x, conditions.time, out_channels,
                                     {conditions.frames, epsilon, epsilon, false});
}

Value transformer(Builder& b, std::size_t i, Value x, const VideoConditions& conditions,
                  const TransformerSpatioTemporal& options) {
    return transformer_spatio_temporal(b, numbered("attentions.", i), x, conditions.context,
                                       conditions.frame_numbers(x.dim(1)), options);
}

/// Resnet i of a block and the transformer after it, if there is one.
Value layer(Builder& b, std::size_t i, Value x, const VideoConditions& conditions,
            const SpatioTemporalBlock& block) {
    x = resnet(b, i, x, conditions, block.out_channels, block.epsilon);
    return block.transformers.empty() ? x : transformer(b, i, x, conditions, block.transformers.at(i));
}

}  // namespace

Value down_block_spatio_temporal(Builder& b, std::string_view name, Value x,
                                 const VideoConditions& conditions, const SpatioTemporalBlock& block,
                                 std::vector<Value>& skips) {
    auto scope = b.module(name, ModuleKind::block);
    const Value input = x;
    std::vector<Value> states;
    for (std::size_t i = 0; i < static_cast<std::size_t>(block.layers); ++i) {
        x = layer(b, i, x, conditions, block);
        states.push_back(x);
    }
    if (block.sampler) {
        x = downsample_2d(b, "downsamplers.0", x, 1);
        states.push_back(x);
    }
    scope.takes({input});
    const Value hidden = scope.returns(x);
    for (const Value state : states) {
        scope.takes({input});
        skips.push_back(scope.returns(state));
    }
    return hidden;
}

Value mid_block_spatio_temporal(Builder& b, std::string_view name, Value x, const VideoConditions& conditions,
                                const TransformerSpatioTemporal& options) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    x = resnet(b, 0, x, conditions, x.dim(1), kMidEpsilon);
    x = transformer(b, 0, x, conditions, options);
    return scope.returns(resnet(b, 1, x, conditions, x.dim(1), kMidEpsilon));
}

Value up_block_spatio_temporal(Builder& b, std::string_view name, Value x, const VideoConditions& conditions,
                               const SpatioTemporalBlock& block, std::vector<Value>& skips) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    for (std::size_t i = 0; i < static_cast<std::size_t>(block.layers); ++i) {
        x = layer(b, i, b.concat({x, skips.back()}, 1), conditions, block);
        skips.pop_back();
    }
    if (block.sampler) x = upsample_2d(b, "upsamplers.0", x, {skips.back().dim(2), skips.back().dim(3)});
    return scope.returns(x);
}

}  // namespace reprise::nn
