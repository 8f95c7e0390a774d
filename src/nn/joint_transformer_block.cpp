#include "nn/joint_transformer_block.h"

#include "nn/adaptive_norm.h"
#include "nn/attention.h"

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

constexpr float kEpsilon = kAdaptiveNormEpsilon;

/// Queries, keys and values of one stream.
struct Projections {
    Value q, k, v;
};

/// x (B, L, C) normed within each head.
Value head_norm(Builder& b, Value x, std::string_view name, const JointTransformerBlock& options) {
    if (options.qk_norm == QkNorm::none) return x;
    const Value heads = b.reshape(x, {x.dim(0), x.dim(1), options.heads, options.head_width});
    const Value normed = options.qk_norm == QkNorm::rms_norm
                             ? b.rms_norm(heads, name, kEpsilon)
                             : b.layer_norm(heads, name, kEpsilon, options.qk_norm == QkNorm::layer_norm);
    return b.reshape(normed, x.shape());
}

Projections picture_projections(Builder& b, Value x, const JointTransformerBlock& options) {
    const auto width = x.dim(-1);
    return {head_norm(b, b.linear(x, "to_q", width), "norm_q", options),
            head_norm(b, b.linear(x, "to_k", width), "norm_k", options), b.linear(x, "to_v", width)};
}

Projections text_projections(Builder& b, Value x, const JointTransformerBlock& options) {
    const auto width = x.dim(-1);
    return {head_norm(b, b.linear(x, "add_q_proj", width), "norm_added_q", options),
            head_norm(b, b.linear(x, "add_k_proj", width), "norm_added_k", options),
            b.linear(x, "add_v_proj", width)};
}

Value attend(Builder& b, const Projections& x, const JointTransformerBlock& options) {
    return b.attention(x.q, x.k, x.v, {.heads = options.heads, .scale = {}, .causal = false, .bias = {}});
}

/// Every token sees those of both streams, the picture's first.
JointStreams joint_attention(Builder& b, std::string_view name, JointStreams x,
                             const JointTransformerBlock& options) {
    auto scope = b.module(name, ModuleKind::joint_attention);
    scope.takes({x.hidden_states, x.encoder_hidden_states});
    const auto width = x.hidden_states.dim(-1);
    const auto tokens = x.hidden_states.dim(1);
    const Projections picture = picture_projections(b, x.hidden_states, options);
    const Projections text = text_projections(b, x.encoder_hidden_states, options);
    const Value attended = attend(b,
                                  {b.concat({picture.q, text.q}, 1), b.concat({picture.k, text.k}, 1),
                                   b.concat({picture.v, text.v}, 1)},
                                  options);
    x.hidden_states = b.linear(b.slice(attended, 1, 0, tokens), "to_out.0", width);
    x.encoder_hidden_states = b.slice(attended, 1, tokens, attended.dim(1));
    if (!options.context_pre_only)
        x.encoder_hidden_states = b.linear(x.encoder_hidden_states, "to_add_out", width);
    x.hidden_states = scope.returns(x.hidden_states);
    x.encoder_hidden_states = scope.returns(x.encoder_hidden_states);
    return x;
}

Value picture_attention(Builder& b, std::string_view name, Value x, const JointTransformerBlock& options) {
    auto scope = b.module(name, ModuleKind::self_attention);
    scope.takes({x});
    const Value attended = attend(b, picture_projections(b, x, options), options);
    return scope.returns(b.linear(attended, "to_out.0", x.dim(-1)));
}

/// A stream's norm before the attention, and what else it makes of the condition (AdaLayerNormZero; with a
/// second attention, SD35AdaLayerNormZeroX).
struct ZeroNorm {
    Value normed, gate;
    Value mlp_shift, mlp_scale, mlp_gate;
    Value normed_2, gate_2;  ///< of the second attention
};

ZeroNorm ada_layer_norm_zero(Builder& b, std::string_view name, Value x, Value condition, bool dual) {
    const auto scope = b.module(name);
    const auto m = modulations(b, "linear", condition, dual ? 9 : 6, x.dim(-1));
    const Value normed = b.layer_norm(x, "norm", kEpsilon, false);
    ZeroNorm result = {modulated(normed, m[1], m[0]), m[2], m[3], m[4], m[5], {}, {}};
    if (dual) {
        result.normed_2 = modulated(normed, m[7], m[6]);
        result.gate_2 = m[8];
    }
    return result;
}

Value with_feed_forward(Builder& b, Value x, std::string_view norm, std::string_view layer,
                        const ZeroNorm& vectors) {
    const Value normed =
        modulated(b.layer_norm(x, norm, kEpsilon, false), vectors.mlp_scale, vectors.mlp_shift);
    return x + vectors.mlp_gate * feed_forward(b, layer, normed, FeedForwardActivation::gelu_approximate);
}

}  // namespace

JointStreams joint_transformer_block(Builder& b, std::string_view name, JointStreams streams, Value condition,
                                     const JointTransformerBlock& options) {
    auto scope = b.module(name, ModuleKind::block);
    Value x = streams.hidden_states;
    Value text = streams.encoder_hidden_states;
    const ZeroNorm norm1 = ada_layer_norm_zero(b, "norm1", x, condition, options.dual_attention);
    ZeroNorm norm1_context;
    if (options.context_pre_only)
        norm1_context.normed = ada_layer_norm_continuous(b, "norm1_context", text, condition);
    else
        norm1_context = ada_layer_norm_zero(b, "norm1_context", text, condition, false);

    const JointStreams attended = joint_attention(b, "attn", {norm1_context.normed, norm1.normed}, options);
    x = x + norm1.gate * attended.hidden_states;
    if (options.dual_attention) x = x + norm1.gate_2 * picture_attention(b, "attn2", norm1.normed_2, options);
    x = with_feed_forward(b, x, "norm2", "ff", norm1);

    if (options.context_pre_only) {
        scope.takes({streams.hidden_states});
        return {{}, scope.returns(x)};
    }
    text = text + norm1_context.gate * attended.encoder_hidden_states;
    text = with_feed_forward(b, text, "norm2_context", "ff_context", norm1_context);
    scope.takes({streams.encoder_hidden_states, streams.hidden_states});
    text = scope.returns(text);
    return {text, scope.returns(x)};
}

}  // namespace reprise::nn
