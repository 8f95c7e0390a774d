#include "nn/embeddings.h"

namespace reprise::nn {

graph::Value timestep_embedding(graph::Builder& b, std::string_view name, graph::Value x,
                                const TimestepEmbedding& options) {
    const auto scope = b.module(name);
    x = b.unary(b.linear(x, "linear_1", options.width), options.activation);
    x = b.linear(x, "linear_2", options.out_width > 0 ? options.out_width : options.width);
    return options.post_activation ? b.unary(x, *options.post_activation) : x;
}

}  // namespace reprise::nn
