#include "models/clip_text.h"

#include <algorithm>
#include <array>
#include <string>

#include "models/config_checks.h"
#include "nn/clip_layers.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Builder;
using graph::Value;

namespace {

/// Without effect: attention_dropout and the ids of begin and padding.
constexpr auto kKeys = std::to_array<std::string_view>({
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "projection_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "hidden_act",
    "layer_norm_eps",
    "eos_token_id",
    "use_attention_mask",
    "attention_dropout",
    "dropout",
    "pad_token_id",
    "bos_token_id",
});

Value embeddings(Builder& b, Value ids, const ClipTextConfig& config) {
    const auto scope = b.module("embeddings");
    const Value tokens = b.embedding(ids, "token_embedding", config.vocab_size, config.hidden_size);
    const Value positions =
        b.weight("position_embedding.weight", {config.max_position_embeddings, config.hidden_size});
    return tokens + b.slice(positions, 0, 0, ids.dim(1));
}

}  // namespace

ClipTextConfig ClipTextConfig::from(const Config& whole, std::string_view class_name) {
    const Config config = part_of(whole, "text_config");
    warn_of_unknown_transformers_keys(config, kKeys);
    support_only(config, "use_attention_mask", false);  // Stable Diffusion's pipeline would mask padding

    ClipTextConfig result;
    result.vocab_size = get_size(config, "vocab_size", result.vocab_size, std::int64_t{1} << 24);
    result.hidden_size = get_size(config, "hidden_size", result.hidden_size);
    result.intermediate_size = get_size(config, "intermediate_size", result.intermediate_size);
    result.num_hidden_layers = get_size(config, "num_hidden_layers", result.num_hidden_layers, kMaxDepth);
    result.num_attention_heads = get_size(config, "num_attention_heads", result.num_attention_heads);
    if (result.hidden_size % result.num_attention_heads != 0)
        usage_error("{}: \"hidden_size\", {}, does not divide by \"num_attention_heads\", {}", config.file,
                    result.hidden_size, result.num_attention_heads);
    result.max_position_embeddings =
        get_size(config, "max_position_embeddings", result.max_position_embeddings);
    result.hidden_act = get_activation(config, "hidden_act", "quick_gelu");
    result.layer_norm_eps = config.get_or("layer_norm_eps", result.layer_norm_eps);
    result.eos_token_id = config.get_or("eos_token_id", result.eos_token_id);
    if (class_name == "CLIPTextModelWithProjection")
        result.projection_dim = get_size(config, "projection_dim", 512);
    return result;
}

graph::Graph build_clip_text(const ClipTextConfig& config, const ClipTextShape& shape,
                             const ClipTextOutputs& outputs, DType precision, const WeightSource* weights) {
    check_shape("text", shape.batch, 1, shape.tokens);
    if (shape.tokens > config.max_position_embeddings)
        usage_error("text of {} tokens is longer than the {} that the text encoder has positions for",
                    shape.tokens, config.max_position_embeddings);
    if (outputs.hidden_state < 0 || outputs.hidden_state > config.num_hidden_layers + 1)
        usage_error("clip_skip asks for hidden state {} from the end, but the text encoder has {} layers",
                    outputs.hidden_state, config.num_hidden_layers);

    Builder b("text_encoder", precision, weights);
    const Value ids = b.input("input_ids", {shape.batch, shape.tokens}, DType::i64);
    Value pooled;
    {
        const auto scope = b.module("text_model");
        const nn::ClipEncoderLayer layer = {config.num_attention_heads, config.intermediate_size,
                                            config.hidden_act, config.layer_norm_eps, true};
        std::vector<Value> states = {embeddings(b, ids, config)};
        for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
            states.push_back(
                nn::clip_encoder_layer(b, "encoder.layers." + std::to_string(i), states.back(), layer));
        const Value normed = b.layer_norm(states.back(), "final_layer_norm", config.layer_norm_eps);

        if (outputs.hidden_state > 0) {
            Value wanted = states[states.size() - static_cast<std::size_t>(outputs.hidden_state)];
            if (outputs.final_norm)
                wanted = outputs.hidden_state == 1
                             ? normed
                             : b.layer_norm(wanted, "final_layer_norm", config.layer_norm_eps);
            b.output("hidden_states", b.convert(wanted, DType::f32));
        }
        if (outputs.pooled) {
            const Value rows = b.reshape(normed, {shape.batch * shape.tokens, config.hidden_size});
            pooled = b.gather(rows, b.input("pooled_index", {shape.batch}, DType::i64));
        }
    }
    if (config.projection_dim > 0) {
        // Asked for even where it is not wanted, so that no weight is left over.
        const Value projection =
            b.weight("text_projection.weight", {config.projection_dim, config.hidden_size});
        if (pooled.defined()) pooled = b.linear(pooled, "text_projection", projection.dim(0), false);
    }
    if (pooled.defined()) b.output("pooled", b.convert(pooled, DType::f32));
    return graph::pruned(b.finish());
}

std::int64_t pooled_position(std::span<const std::int64_t> ids, std::int64_t eos_token_id) {
    constexpr std::int64_t kArgMax = 2;
    if (eos_token_id == kArgMax) return std::max_element(ids.begin(), ids.end()) - ids.begin();
    const auto found = std::find(ids.begin(), ids.end(), eos_token_id);
    return found == ids.end() ? 0 : found - ids.begin();
}

Tensor pooled_index(const Tensor& ids, std::int64_t eos_token_id) {
    const auto batch = ids.dim(0);
    const auto length = ids.dim(1);
    Tensor result(DType::i64, {batch});
    for (std::int64_t i = 0; i < batch; ++i)
        result.span<std::int64_t>()[static_cast<std::size_t>(i)] =
            i * length + pooled_position(ids.rows(i, i + 1).span<std::int64_t>(), eos_token_id);
    return result;
}

void check_token_ids(std::span<const std::int64_t> ids, std::int64_t vocab_size) {
    for (const auto id : ids)
        if (id < 0 || id >= vocab_size)
            usage_error(
                "token id {} is not in the text encoder's vocabulary of {}; is the tokenizer its own?", id,
                vocab_size);
}

}  // namespace reprise::models
