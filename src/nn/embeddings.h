#pragma once

#include <optional>
#include <string_view>

#include "graph/builder.h"

namespace reprise::nn {

/// diffusers' TimestepEmbedding: two linear layers of `width` with an activation between them.
struct TimestepEmbedding {
    std::int64_t width = 0;
    graph::Unary activation = graph::Unary::silu;
    std::optional<graph::Unary> post_activation;
    std::int64_t out_width = 0;  ///< of the second layer; 0: width
};

/// x (B, N), a sinusoidal embedding or any other vector, to (B, width or out_width).
graph::Value timestep_embedding(graph::Builder& b, std::string_view name, graph::Value x,
                                const TimestepEmbedding& options);

}  // namespace reprise::nn
