#pragma once

#include <cstdint>

#include "core/weight_source.h"
#include "files/json.h"
#include "graph/builder.h"

namespace reprise::models {

/// config.json of transformers' T5EncoderModel.
struct T5EncoderConfig {
    std::int64_t vocab_size = 32128;
    std::int64_t d_model = 512;
    std::int64_t d_kv = 64;  ///< width of a head
    std::int64_t d_ff = 2048;
    std::int64_t num_layers = 6;
    std::int64_t num_heads = 8;
    std::int64_t num_buckets = 32;    ///< relative_attention_num_buckets
    std::int64_t max_distance = 128;  ///< relative_attention_max_distance: all beyond share a bucket
    float layer_norm_epsilon = 1e-6F;
    bool gated = false;  ///< the feed forward multiplies the activation with a second projection
    graph::Unary activation = graph::Unary::relu;

    /// Usage error naming the key for a value that is wrong or not supported.
    static T5EncoderConfig from(const Config& config);
    /// Weights of one layer.
    std::int64_t layer_parameters() const;
};

struct T5Shape {
    std::int64_t batch = 1;
    std::int64_t tokens = 0;
    bool masked = false;  ///< whether some tokens are padding that no token may attend to
};

/// Layers [begin, end), of which the last part, to num_layers, ends in the final norm. An encoder too large
/// for the memory is run part by part.
struct T5Part {
    std::int64_t begin = 0, end = 0;
};

/// What goes into layer 0: (B, L, d_model) f32 of ids (B, L) i64, each below vocab_size. Reads these rows of
/// the table alone. Usage error when the table is missing or misshapen.
Tensor t5_token_embeddings(const T5EncoderConfig& config, const Tensor& ids, const WeightSource& weights);

/// Inputs, in this order: "hidden_states" (B, L, d_model) f32 and, if masked, "attention_mask" (B, L) f32 of
/// 1 and 0. Output: "hidden_states" (B, L, d_model) f32. Scores are not scaled and get layer 0's relative
/// position bias in every layer, as in transformers. Usage error for f16, which T5's activations overflow.
/// `weights` may be null and need not outlive the call; a part asks for its own only.
graph::Graph build_t5_encoder(const T5EncoderConfig& config, const T5Shape& shape, const T5Part& part,
                              DType precision, const WeightSource* weights);

/// transformers' bucket of a relative position (key's minus query's) in a bidirectional encoder.
std::int64_t t5_position_bucket(std::int64_t relative_position, std::int64_t num_buckets,
                                std::int64_t max_distance);

}  // namespace reprise::models
