#include "nn/clip_layers.h"

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

Value self_attention(Builder& b, Value x, const ClipEncoderLayer& options) {
    auto scope = b.module("self_attn", ModuleKind::self_attention);
    scope.takes({x});
    const auto width = x.dim(-1);
    const Value q = b.linear(x, "q_proj", width);
    const Value k = b.linear(x, "k_proj", width);
    const Value v = b.linear(x, "v_proj", width);
    const Value attended =
        b.attention(q, k, v, {.heads = options.heads, .scale = {}, .causal = options.causal, .bias = {}});
    return scope.returns(b.linear(attended, "out_proj", width));
}

Value feed_forward(Builder& b, Value x, const ClipEncoderLayer& options) {
    auto scope = b.module("mlp", ModuleKind::feed_forward);
    scope.takes({x});
    const Value hidden = b.unary(b.linear(x, "fc1", options.intermediate_size), options.activation);
    return scope.returns(b.linear(hidden, "fc2", x.dim(-1)));
}

}  // namespace

Value clip_encoder_layer(Builder& b, std::string_view name, Value x, const ClipEncoderLayer& options) {
    auto scope = b.module(name, ModuleKind::block);
    scope.takes({x});
    x = x + self_attention(b, b.layer_norm(x, "layer_norm1", options.epsilon), options);
    x = x + feed_forward(b, b.layer_norm(x, "layer_norm2", options.epsilon), options);
    return scope.returns(x);
}

}  // namespace reprise::nn
