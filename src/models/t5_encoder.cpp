#include "models/t5_encoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "models/clip_text.h"
#include "models/config_checks.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

/// Without effect: dropout_rate, classifier_dropout and what is the decoder's.
constexpr auto kKeys = std::to_array<std::string_view>({
    "vocab_size",
    "d_model",
    "d_kv",
    "d_ff",
    "num_layers",
    "num_heads",
    "relative_attention_num_buckets",
    "relative_attention_max_distance",
    "layer_norm_epsilon",
    "feed_forward_proj",
    "is_gated_act",
    "dense_act_fn",
    "is_decoder",
    "dropout_rate",
    "classifier_dropout",
    "hidden_size",
    "num_attention_heads",
    "num_hidden_layers",
    "head_dim",
    "num_decoder_layers",
    "scale_decoder_outputs",
    "eos_token_id",
    "pad_token_id",
});

/// What is added to the scores of tokens that are padding.
constexpr float kMasked = 1e9F;

Value self_attention(Builder& b, Value x, Value bias, const T5EncoderConfig& config) {
    auto scope = b.module("SelfAttention", ModuleKind::self_attention);
    scope.takes({x});
    const auto width = config.num_heads * config.d_kv;
    const Value q = b.linear(x, "q", width, false);
    const Value k = b.linear(x, "k", width, false);
    const Value v = b.linear(x, "v", width, false);
    const Value attended =
        b.attention(q, k, v, {.heads = config.num_heads, .scale = 1.0F, .causal = false, .bias = bias});
    return scope.returns(b.linear(attended, "o", config.d_model, false));
}

Value feed_forward(Builder& b, Value x, const T5EncoderConfig& config) {
    auto scope = b.module("DenseReluDense", ModuleKind::feed_forward);
    scope.takes({x});
    if (config.gated)
        x = b.unary(b.linear(x, "wi_0", config.d_ff, false), config.activation) *
            b.linear(x, "wi_1", config.d_ff, false);
    else
        x = b.unary(b.linear(x, "wi", config.d_ff, false), config.activation);
    return scope.returns(b.linear(x, "wo", config.d_model, false));
}

Value layer(Builder& b, std::int64_t i, Value x, Value bias, const T5EncoderConfig& config) {
    auto scope = b.module("encoder.block." + std::to_string(i), ModuleKind::block);
    scope.takes({x});
    {
        const auto attention = b.module("layer.0");
        x = x + self_attention(b, b.rms_norm(x, "layer_norm", config.layer_norm_epsilon), bias, config);
    }
    {
        const auto dense = b.module("layer.1");
        x = x + feed_forward(b, b.rms_norm(x, "layer_norm", config.layer_norm_epsilon), config);
    }
    return scope.returns(x);
}

/// (1, heads, L, L) from layer 0's table.
Value position_bias(Builder& b, std::int64_t tokens, const T5EncoderConfig& config) {
    Tensor buckets(DType::i64, {tokens, tokens});
    auto* bucket = buckets.span<std::int64_t>().data();
    for (std::int64_t query = 0; query < tokens; ++query)
        for (std::int64_t key = 0; key < tokens; ++key)
            *bucket++ = t5_position_bucket(key - query, config.num_buckets, config.max_distance);
    const Value biases = b.embedding(b.constant("position_buckets", std::move(buckets)),
                                     "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
                                     config.num_buckets, config.num_heads);
    return b.reshape(b.transpose(biases, {2, 0, 1}), {1, config.num_heads, tokens, tokens});
}

/// What this part does not read.
std::vector<std::string> weights_of_others(const T5EncoderConfig& config, const T5Part& part) {
    std::vector<std::string> names = {"shared.weight"};
    if (part.end < config.num_layers) names.emplace_back("encoder.final_layer_norm.weight");
    for (std::int64_t i = 0; i < config.num_layers; ++i)
        if (i < part.begin || i >= part.end) names.push_back("encoder.block." + std::to_string(i) + ".*");
    return names;
}

/// Of "gated-gelu", "relu", ... or of what transformers made of it when it wrote the file.
void read_feed_forward(const Config& config, T5EncoderConfig& result) {
    constexpr std::string_view kGated = "gated-";
    const std::string form = config.get_or("feed_forward_proj", "relu");
    result.gated = form.starts_with(kGated);
    std::string activation = result.gated ? form.substr(kGated.size()) : form;
    if (form == "gated-gelu") activation = "gelu_new";
    result.gated = get_flag(config, "is_gated_act", result.gated);
    const std::string_view key = contains(config.json, "dense_act_fn") ? "dense_act_fn" : "feed_forward_proj";
    if (key == "dense_act_fn") activation = config.require<std::string>(key);
    result.activation =
        get_activation({Json{{std::string(key), activation}}, config.file}, key, activation.c_str());
}

/// transformers takes some values under other models' names, too: those must say the same.
void check_other_names(const Config& config) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames = {
        {{"hidden_size", "d_model"},
         {"num_attention_heads", "num_heads"},
         {"num_hidden_layers", "num_layers"},
         {"head_dim", "d_kv"}}};
    for (const auto& [other, name] : kNames)
        if (contains(config.json, other) &&
            (!contains(config.json, name) ||
             config.json.at(std::string(other)) != config.json.at(std::string(name))))
            unsupported(config, other, fmt::format("the value of \"{}\"", name));
}

}  // namespace

T5EncoderConfig T5EncoderConfig::from(const Config& config) {
    constexpr std::int64_t kMaxBuckets = 1 << 12;
    warn_of_unknown_transformers_keys(config, kKeys);
    check_other_names(config);
    support_only(config, "is_decoder", false);

    T5EncoderConfig result;
    result.vocab_size = get_size(config, "vocab_size", result.vocab_size, std::int64_t{1} << 24);
    result.d_model = get_size(config, "d_model", result.d_model);
    result.d_kv = get_size(config, "d_kv", result.d_kv);
    result.d_ff = get_size(config, "d_ff", result.d_ff);
    result.num_layers = get_size(config, "num_layers", result.num_layers, kMaxDepth);
    result.num_heads = get_size(config, "num_heads", result.num_heads, 1 << 10);
    result.num_buckets = get_size(config, "relative_attention_num_buckets", result.num_buckets, kMaxBuckets);
    if (result.num_buckets < 4) unsupported(config, "relative_attention_num_buckets", "4 and more");
    result.max_distance = get_size(config, "relative_attention_max_distance", result.max_distance, kMaxSide);
    if (result.max_distance <= result.num_buckets / 4)
        usage_error(
            "{}: \"relative_attention_max_distance\" is {}, expected more than {}, a quarter of "
            "\"relative_attention_num_buckets\"",
            config.file, result.max_distance, result.num_buckets / 4);
    result.layer_norm_epsilon = config.get_or("layer_norm_epsilon", result.layer_norm_epsilon);
    read_feed_forward(config, result);
    return result;
}

std::int64_t T5EncoderConfig::layer_parameters() const {
    return 4 * d_model * num_heads * d_kv + (gated ? 3 : 2) * d_model * d_ff + 2 * d_model;
}

std::int64_t t5_position_bucket(std::int64_t relative_position, std::int64_t num_buckets,
                                std::int64_t max_distance) {
    const auto half = num_buckets / 2;
    const auto exact = half / 2;
    const auto first = relative_position > 0 ? half : 0;
    const auto distance = std::abs(relative_position);
    if (distance < exact) return first + distance;
    // In f32, as transformers.
    const float octaves =
        std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
        static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
    const auto beyond = static_cast<std::int64_t>(octaves * static_cast<float>(half - exact));
    return first + std::min(exact + beyond, half - 1);
}

Tensor t5_token_embeddings(const T5EncoderConfig& config, const Tensor& ids, const WeightSource& weights) {
    const auto table = weights.find("shared.weight");
    if (!table) usage_error("{}: weight 'shared.weight' is missing", weights.description());
    if (table->shape() != Shape{config.vocab_size, config.d_model} || !is_floating(table->type()))
        usage_error("{}: weight 'shared.weight' is {} of {}, but config.json asks for {}",
                    weights.description(), name_of(table->type()), to_string(table->shape()),
                    to_string(Shape{config.vocab_size, config.d_model}));
    check_token_ids(ids.span<std::int64_t>(), config.vocab_size);
    Tensor result(DType::f32, {ids.dim(0), ids.dim(1), config.d_model});
    float* row = result.span<float>().data();
    for (const auto id : ids.span<std::int64_t>()) {
        const Tensor values = table->rows(id, id + 1).to(DType::f32);
        row = std::copy_n(values.span<float>().data(), config.d_model, row);
    }
    return result;
}

graph::Graph build_t5_encoder(const T5EncoderConfig& config, const T5Shape& shape, const T5Part& part,
                              DType precision, const WeightSource* weights) {
    check_shape("text", shape.batch, 1, shape.tokens);
    if (precision == DType::f16)
        usage_error("a T5 text encoder cannot run in f16, which its activations overflow; use f32 or bf16");
    Builder b("text_encoder", precision, weights);

    Value x = b.real_input("hidden_states", {shape.batch, shape.tokens, config.d_model});
    Value bias = position_bias(b, shape.tokens, config);
    if (shape.masked) {
        const Value mask = b.real_input("attention_mask", {shape.batch, shape.tokens});
        bias = bias + b.reshape(b.affine(mask, kMasked, -kMasked), {shape.batch, 1, 1, shape.tokens});
    }
    for (std::int64_t i = part.begin; i < part.end; ++i) x = layer(b, i, x, bias, config);
    if (part.end == config.num_layers)
        x = b.rms_norm(x, "encoder.final_layer_norm", config.layer_norm_epsilon);
    b.output("hidden_states", b.convert(x, DType::f32));
    return b.finish(weights_of_others(config, part));
}

}  // namespace reprise::models
