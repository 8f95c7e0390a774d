#pragma once

#include <cstdint>
#include <string_view>

#include "graph/builder.h"

namespace reprise::nn {

/// transformers' CLIPEncoderLayer, the same for text and pictures.
struct ClipEncoderLayer {
    std::int64_t heads = 8;
    std::int64_t intermediate_size = 2048;
    graph::Unary activation = graph::Unary::quick_gelu;
    float epsilon = 1e-5F;
    bool causal = false;  ///< each token sees those before it and itself
};

/// x (B, L, C) to (B, L, C).
graph::Value clip_encoder_layer(graph::Builder& b, std::string_view name, graph::Value x,
                                const ClipEncoderLayer& options);

}  // namespace reprise::nn
