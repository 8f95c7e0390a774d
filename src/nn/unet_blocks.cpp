#include "nn/unet_blocks.h"

#include <string>

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

std::string numbered(const char* list, std::size_t i) {
    return list + std::to_string(i);
}

/// Resnet i of a block and the transformer after it, if there is one.
Value layer(Builder& b, std::size_t i, Value x, const UNetConditions& conditions, const UNetBlock& block) {
    x = resnet_block_2d(b, numbered("resnets.", i), x, conditions.time, block.out_channels, block.resnet);
    if (block.transformers.empty()) return x;
    return transformer_2d(b, numbered("attentions.", i), x, conditions.text, block.transformers.at(i));
}

}  // namespace

Value down_block(Builder& b, std::string_view name, Value x, const UNetConditions& conditions,
                 const UNetBlock& block, std::vector<Value>& skips) {
    auto scope = b.module(name, ModuleKind::block);
    const Value input = x;
    std::vector<Value> states;
    for (std::size_t i = 0; i < static_cast<std::size_t>(block.layers); ++i) {
        x = layer(b, i, x, conditions, block);
        states.push_back(x);
    }
    if (block.sampler) {
        x = downsample_2d(b, "downsamplers.0", x, block.downsample_padding);
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

Value mid_block(Builder& b, std::string_view name, Value x, const UNetConditions& conditions,
                const ResnetBlock2D& resnet, const std::optional<Transformer2D>& transformer) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    const auto channels = x.dim(1);
    x = resnet_block_2d(b, "resnets.0", x, conditions.time, channels, resnet);
    if (transformer) {
        x = transformer_2d(b, "attentions.0", x, conditions.text, *transformer);
        x = resnet_block_2d(b, "resnets.1", x, conditions.time, channels, resnet);
    }
    return scope.returns(x);
}

Value up_block(Builder& b, std::string_view name, Value x, const UNetConditions& conditions,
               const UNetBlock& block, std::vector<Value>& skips) {
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
