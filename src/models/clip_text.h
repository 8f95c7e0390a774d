#pragma once

#include <span>
#include <string_view>

#include "core/weight_source.h"
#include "files/json.h"
#include "graph/builder.h"

namespace reprise::models {

/// config.json of transformers' CLIPTextModel or CLIPTextModelWithProjection, alone or as "text_config"
/// inside a whole CLIP model's.
struct ClipTextConfig {
    std::int64_t vocab_size = 49408;
    std::int64_t hidden_size = 512;
    std::int64_t intermediate_size = 2048;
    std::int64_t num_hidden_layers = 12;
    std::int64_t num_attention_heads = 8;
    std::int64_t max_position_embeddings = 77;
    graph::Unary hidden_act = graph::Unary::quick_gelu;
    float layer_norm_eps = 1e-5F;
    std::int64_t eos_token_id = 49407;
    std::int64_t projection_dim = 0;  ///< width of the projected pooled token; 0: no projection

    /// Usage error naming the key for a value that is wrong or not supported.
    static ClipTextConfig from(const Config& config, std::string_view class_name);
    /// Width of the output "pooled".
    std::int64_t pooled_width() const { return projection_dim > 0 ? projection_dim : hidden_size; }
};

/// Which results a graph computes; layers that none of them needs are left out.
struct ClipTextOutputs {
    /// Index into transformers' `hidden_states` from the end: 1 is the last layer's result, 2 the one
    /// before; num_hidden_layers + 1 the embeddings. 0: none wanted.
    /// Stable Diffusion XL takes clip_skip + 2 without the final norm, 1.x and 2.x clip_skip + 1 with it.
    std::int64_t hidden_state = 2;
    bool final_norm = false;  ///< apply final_layer_norm to it
    bool pooled = false;      ///< the end token's state after the final norm, projected if the class does
};

struct ClipTextShape {
    std::int64_t batch = 1;
    std::int64_t tokens = 77;
};

/// Inputs, in this order: "input_ids" (B, L) i64, each below vocab_size, and, if pooled, "pooled_index" (B)
/// i64: rows of the flattened (B * L) tokens, see pooled_row. Outputs, those that are wanted:
/// "hidden_states" (B, L, hidden_size) and "pooled" (B, pooled_width), f32. Each token sees those before it
/// and itself; there is no padding mask, as in diffusers' pipelines. Usage error when `tokens` or
/// `hidden_state` is more than the model has. `weights` may be null and need not outlive the call.
graph::Graph build_clip_text(const ClipTextConfig& config, const ClipTextShape& shape,
                             const ClipTextOutputs& outputs, DType precision, const WeightSource* weights);

/// Position of the token that stands for the whole text, by transformers' rule: that of the largest id when
/// `eos_token_id` is 2 (as early configurations wrongly say), otherwise of the first end token, or 0 when
/// there is none.
std::int64_t pooled_position(std::span<const std::int64_t> ids, std::int64_t eos_token_id);

/// The graph input "pooled_index" for ids (B, L).
Tensor pooled_index(const Tensor& ids, std::int64_t eos_token_id);

/// Usage error when an id is not in [0, vocab_size): the tokenizer is another model's.
void check_token_ids(std::span<const std::int64_t> ids, std::int64_t vocab_size);

}  // namespace reprise::models
