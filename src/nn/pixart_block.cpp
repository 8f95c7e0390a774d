#include "nn/pixart_block.h"

#include "nn/adaptive_norm.h"

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

/// Tokens whose bias is low are not seen.
Value text_attention(Builder& b, std::string_view name, Value x, const PixArtConditions& conditions,
                     const PixArtBlock& options) {
    auto scope = b.module(name, ModuleKind::cross_attention);
    scope.takes({x});
    const auto width = options.heads * options.head_width;
    const Value q = b.linear(x, "to_q", width, options.attention_bias);
    const Value k = b.linear(conditions.text, "to_k", width, options.attention_bias);
    const Value v = b.linear(conditions.text, "to_v", width, options.attention_bias);
    const Value attended = b.attention(
        q, k, v, {.heads = options.heads, .scale = {}, .causal = false, .bias = conditions.text_bias});
    return scope.returns(b.linear(attended, "to_out.0", width));
}

}  // namespace

Value pixart_block(Builder& b, std::string_view name, Value x, const PixArtConditions& conditions,
                   const PixArtBlock& options) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    const auto width = x.dim(-1);
    const Value table = b.reshape(b.weight("scale_shift_table", {6, width}), {1, 6, width});
    const auto modulations = b.split(table + conditions.modulation, 6, 1);
    const auto normed = [&](std::string_view norm, std::size_t shift) {
        return modulated(b.layer_norm(x, norm, options.norm_epsilon, options.norm_affine),
                         modulations[shift + 1], modulations[shift]);
    };
    x = x + modulations[2] * attention(b, "attn1", normed("norm1", 0), {},
                                       {options.heads, options.head_width, options.attention_bias, true});
    x = x + text_attention(b, "attn2", x, conditions, options);
    x = x + modulations[5] * feed_forward(b, "ff", normed("norm2", 3), options.activation);
    return scope.returns(x);
}

}  // namespace reprise::nn
