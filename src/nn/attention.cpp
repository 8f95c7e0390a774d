#include "nn/attention.h"

#include <string>

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Unary;
using graph::Value;

Value picture_to_tokens(Builder& b, Value x) {
    return b.reshape(b.transpose(x, {0, 2, 3, 1}), {x.dim(0), x.dim(2) * x.dim(3), x.dim(1)});
}

Value tokens_to_picture(Builder& b, Value x, Value like) {
    return b.transpose(b.reshape(x, {x.dim(0), like.dim(2), like.dim(3), x.dim(2)}), {0, 3, 1, 2});
}

namespace {

ModuleKind kind_of(bool cross, bool temporal) {
    if (temporal) return cross ? ModuleKind::temporal_cross_attention : ModuleKind::temporal_self_attention;
    return cross ? ModuleKind::cross_attention : ModuleKind::self_attention;
}

/// The layers of an attention, inside its module.
Value attend(Builder& b, Value x, Value context, const Attention& options) {
    const auto width = options.heads * options.head_width;
    const auto out_width = x.dim(-1);
    Value q = b.linear(x, "to_q", width, options.bias);
    const Value k = b.linear(context, "to_k", width, options.bias);
    const Value v = b.linear(context, "to_v", width, options.bias);
    const bool shared = context.dim(0) != x.dim(0);
    if (shared) q = b.reshape(q, {context.dim(0), -1, width});
    Value attended = b.attention(q, k, v, {.heads = options.heads, .scale = {}, .causal = false, .bias = {}});
    if (shared) attended = b.reshape(attended, {x.dim(0), x.dim(1), width});
    return b.linear(attended, "to_out.0", out_width, options.out_bias);
}

}  // namespace

Value attention(Builder& b, std::string_view name, Value x, Value context, const Attention& options) {
    auto scope = b.module(name, kind_of(context.defined(), options.temporal));
    scope.takes({x});
    return scope.returns(attend(b, x, context.defined() ? context : x, options));
}

Value feed_forward(Builder& b, std::string_view name, Value x, FeedForwardActivation activation) {
    auto scope = b.module(name, ModuleKind::feed_forward);
    scope.takes({x});
    const auto width = x.dim(-1);
    const auto inner = 4 * width;
    Value hidden;
    switch (activation) {
        case FeedForwardActivation::geglu: {
            const auto halves = b.split(b.linear(x, "net.0.proj", 2 * inner), 2, -1);
            hidden = halves[0] * b.gelu(halves[1]);
            break;
        }
        case FeedForwardActivation::gelu:
            hidden = b.gelu(b.linear(x, "net.0.proj", inner));
            break;
        case FeedForwardActivation::gelu_approximate:
            hidden = b.unary(b.linear(x, "net.0.proj", inner), Unary::gelu_tanh);
            break;
    }
    return scope.returns(b.linear(hidden, "net.2", width));
}

Value basic_transformer_block(Builder& b, std::string_view name, Value x, Value context,
                              const Transformer2D& options) {
    constexpr float kEpsilon = 1e-5F;
    const Attention layers = {options.heads, options.head_width};
    auto scope = b.module(name, ModuleKind::transformer_block);
    scope.takes({x});
    x = attention(b, "attn1", b.layer_norm(x, "norm1", kEpsilon),
                  options.only_cross_attention ? context : Value(), layers) +
        x;
    x = attention(b, "attn2", b.layer_norm(x, "norm2", kEpsilon), context, layers) + x;
    x = feed_forward(b, "ff", b.layer_norm(x, "norm3", kEpsilon)) + x;
    return scope.returns(x);
}

Value transformer_2d(Builder& b, std::string_view name, Value x, Value context,
                     const Transformer2D& options) {
    constexpr float kEpsilon = 1e-6F;
    auto scope = b.module(name, ModuleKind::transformer);
    scope.takes({x});
    Value tokens = picture_to_tokens(b, b.group_norm(x, "norm", options.norm_groups, kEpsilon));
    tokens = b.linear(tokens, "proj_in", options.heads * options.head_width);
    for (std::int64_t i = 0; i < options.layers; ++i)
        tokens =
            basic_transformer_block(b, "transformer_blocks." + std::to_string(i), tokens, context, options);
    return scope.returns(tokens_to_picture(b, b.linear(tokens, "proj_out", x.dim(1)), x) + x);
}

Value picture_attention(Builder& b, std::string_view name, Value x, std::int64_t norm_groups, float epsilon) {
    auto scope = b.module(name, ModuleKind::self_attention);
    scope.takes({x});
    const Value tokens = picture_to_tokens(b, b.group_norm(x, "group_norm", norm_groups, epsilon));
    const Value attended = attend(b, tokens, tokens, {1, x.dim(1), true, true});
    return scope.returns(tokens_to_picture(b, attended, x) + x);
}

}  // namespace reprise::nn
