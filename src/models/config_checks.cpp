#include "models/config_checks.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Unary;

void check_shape(std::string_view what, std::int64_t batch, std::int64_t height, std::int64_t width) {
    if (batch < 1 || batch > kMaxBatch || height < 1 || height > kMaxSide || width < 1 || width > kMaxSide)
        usage_error("{} of {} x {} in batches of {} cannot be computed; sides go from 1 to {}, batches to {}",
                    what, height, width, batch, kMaxSide, kMaxBatch);
}

void check_range(const Config& config, std::string_view key, std::int64_t value, std::int64_t low,
                 std::int64_t high) {
    if (value < low || value > high)
        usage_error("{}: \"{}\" is {}, expected {} to {}", config.file, key, value, low, high);
}

std::int64_t get_size(const Config& config, std::string_view key, std::int64_t otherwise, std::int64_t high) {
    const auto value = config.get_or<std::int64_t>(key, otherwise);
    check_range(config, key, value, 1, high);
    return value;
}

std::vector<std::int64_t> get_sizes(const Config& config, std::string_view key, std::size_t count,
                                    std::int64_t otherwise, std::int64_t high) {
    auto values = contains(config.json, key) ? config.require_ints(key, count)
                                             : std::vector<std::int64_t>(count, otherwise);
    for (const auto value : values) check_range(config, key, value, 1, high);
    return values;
}

void unsupported(const Config& config, std::string_view key, std::string_view supported) {
    const auto found = config.json.find(key);
    usage_error("{}: \"{}\" is {}, which Reprise does not support; supported: {}", config.file, key,
                found == config.json.end() ? "missing" : printable(text_of(*found)), supported);
}

void support_only(const Config& config, std::string_view key, const Json& only) {
    const bool as_false = only == false && config.is_null(key);
    if (!as_false) support_one_of(config, key, {only});
}

void support_one_of(const Config& config, std::string_view key, std::initializer_list<Json> these) {
    const auto found = config.json.find(key);
    if (found == config.json.end() || std::find(these.begin(), these.end(), *found) != these.end()) return;
    std::string names;
    for (const Json& one : these) {
        names += names.empty() ? "" : ", ";
        names += one.is_string() ? one.get<std::string>() : one.dump();
    }
    unsupported(config, key, names);
}

bool get_flag(const Config& config, std::string_view key, bool otherwise) {
    return config.is_null(key) ? false : config.get_or(key, otherwise);
}

void check_dropout(const Config& config, std::string_view key) {
    const auto probability = config.get_or(key, 0.0);
    if (!(probability >= 0 && probability <= 1))
        usage_error("{}: \"{}\" is {}, expected 0 to 1", config.file, key, probability);
}

Unary get_activation(const Config& config, std::string_view key, const char* otherwise) {
    constexpr std::array<std::pair<std::string_view, Unary>, 8> kActivations = {{
        {"silu", Unary::silu},
        {"swish", Unary::silu},
        {"gelu", Unary::gelu},
        {"gelu_new", Unary::gelu_tanh},
        {"gelu_pytorch_tanh", Unary::gelu_tanh},
        {"quick_gelu", Unary::quick_gelu},
        {"relu", Unary::relu},
        {"tanh", Unary::tanh},
    }};
    std::string name = config.get_or(key, otherwise);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string known;
    for (const auto& [known_name, function] : kActivations) {
        if (known_name == name) return function;
        known += known.empty() ? "" : ", ";
        known += known_name;
    }
    unsupported(config, key, known);
}

Config part_of(const Config& whole, std::string_view part) {
    const auto found = whole.json.find(part);
    if (found == whole.json.end()) return whole;
    if (!found->is_object()) unsupported(whole, part, "an object");
    return {*found, whole.file};
}

void warn_of_unknown_keys(const Config& config, std::span<const std::string_view> known) {
    for (const auto& [key, value] : config.json.items())
        if (!key.starts_with('_') && std::find(known.begin(), known.end(), key) == known.end())
            spdlog::warn("{}: \"{}\" is not a known key and has no effect", config.file, printable(key));
}

void warn_of_unknown_transformers_keys(const Config& config, std::span<const std::string_view> known) {
    constexpr auto kOfAll = std::to_array<std::string_view>({
        "architectures",
        "attn_implementation",
        "auto_map",
        "bad_words_ids",
        "begin_suppress_tokens",
        "chunk_size_feed_forward",
        "cross_attention_hidden_size",
        "decoder_start_token_id",
        "diversity_penalty",
        "do_sample",
        "dtype",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "finetuning_task",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "id2label",
        "initializer_factor",
        "initializer_range",
        "is_encoder_decoder",
        "label2id",
        "length_penalty",
        "max_length",
        "min_length",
        "model_type",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "output_attentions",
        "output_hidden_states",
        "output_past",
        "output_scores",
        "prefix",
        "problem_type",
        "pruned_heads",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict",
        "return_dict_in_generate",
        "sep_token_id",
        "suppress_tokens",
        "task_specific_params",
        "temperature",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "tie_word_embeddings",
        "tokenizer_class",
        "top_k",
        "top_p",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "typical_p",
        "use_bfloat16",
        "use_cache",
        "use_return_dict",
        "add_cross_attention",
        "n_positions",
    });
    std::vector<std::string_view> all(known.begin(), known.end());
    all.insert(all.end(), kOfAll.begin(), kOfAll.end());
    warn_of_unknown_keys(config, all);
}

}  // namespace reprise::models
