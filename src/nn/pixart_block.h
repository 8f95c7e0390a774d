#pragma once

#include <string_view>

#include "graph/builder.h"
#include "nn/attention.h"

namespace reprise::nn {

/// One of PixArt's blocks.
struct PixArtBlock {
    std::int64_t heads = 16;
    std::int64_t head_width = 72;
    bool attention_bias = true;  ///< of to_q, to_k, to_v
    FeedForwardActivation activation = FeedForwardActivation::gelu_approximate;
    bool norm_affine = false;  ///< whether the norms have weights
    float norm_epsilon = 1e-6F;
};

/// What PixArt's blocks read beside the picture.
struct PixArtConditions {
    graph::Value modulation;  ///< (B or 1, 6, C) of the timestep: shifts, scales and gates
    graph::Value text;        ///< (B, tokens, D)
    graph::Value text_bias;   ///< (B, 1, 1, tokens), added to the scores of the text's tokens
};

/// diffusers' BasicTransformerBlock with norm_type "ada_norm_single" (PixArt-alpha, arXiv 2310.00426): self
/// attention, cross attention without a norm before it, feed forward, each added to the stream x (B, L, C).
graph::Value pixart_block(graph::Builder& b, std::string_view name, graph::Value x,
                          const PixArtConditions& conditions, const PixArtBlock& options);

}  // namespace reprise::nn
