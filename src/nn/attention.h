#pragma once

#include <string_view>

#include "graph/builder.h"

namespace reprise::nn {

/// diffusers' Attention (models/attention_processor.py) without norms of its own.
struct Attention {
    std::int64_t heads = 1;
    std::int64_t head_width = 64;
    bool bias = false;  ///< of to_q, to_k, to_v
    bool out_bias = true;
    bool temporal = false;  ///< its tokens are frames: the module's kind says so
};

/// x (B, L, C) attends to `context` (B, M, D), or to itself where that is undefined. A context of fewer
/// batches, (B / n, M, D), is that of n consecutive batches of x each. The module's output is what to_out.0
/// gives, before any residual addition.
graph::Value attention(graph::Builder& b, std::string_view name, graph::Value x, graph::Value context,
                       const Attention& options);

/// (B, C, H, W) to (B, H * W, C).
graph::Value picture_to_tokens(graph::Builder& b, graph::Value x);
/// (B, H * W, C) to (B, C, H, W), with the height and width of `like`.
graph::Value tokens_to_picture(graph::Builder& b, graph::Value x, graph::Value like);

enum class FeedForwardActivation : std::uint8_t {
    geglu,             ///< half the projection times the exact GELU of the other half
    gelu,              ///< exact
    gelu_approximate,  ///< by tanh
};

/// diffusers' FeedForward: (B, L, C) to (B, L, C) over an inner width of 4 C.
graph::Value feed_forward(graph::Builder& b, std::string_view name, graph::Value x,
                          FeedForwardActivation activation = FeedForwardActivation::geglu);

/// The transformers inside a UNet's block.
struct Transformer2D {
    std::int64_t heads = 1;
    std::int64_t head_width = 64;
    std::int64_t layers = 1;
    std::int64_t norm_groups = 32;
    bool only_cross_attention = false;  ///< attn1 attends to the text too
};

/// diffusers' BasicTransformerBlock with layer norms: self attention, cross attention, feed forward, each
/// added to the stream x (B, L, C).
graph::Value basic_transformer_block(graph::Builder& b, std::string_view name, graph::Value x,
                                     graph::Value context, const Transformer2D& options);

/// diffusers' Transformer2DModel over a picture x (B, C, H, W), added to it. Its projections are 1x1
/// convolutions or linear layers (`use_linear_projection`): the same arithmetic, and the weights are
/// accepted in either shape.
graph::Value transformer_2d(graph::Builder& b, std::string_view name, graph::Value x, graph::Value context,
                            const Transformer2D& options);

/// The attention inside an autoencoder's middle block: x (B, C, H, W), one head, norm before, residual
/// addition inside.
graph::Value picture_attention(graph::Builder& b, std::string_view name, graph::Value x,
                               std::int64_t norm_groups, float epsilon);

}  // namespace reprise::nn
