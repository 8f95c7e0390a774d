#include "pipelines/t5_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

models::T5EncoderConfig config_of(const ModelSource& source, const std::string& name) {
    need_for_prompts(source, name);
    return models::T5EncoderConfig::from(source.config(name));
}

Engine without_f16(Engine engine) {
    auto& precision = engine.options.precision;
    if (precision == DType::f16) precision = engine.backend->preferred_precision(engine.options.device);
    if (precision == DType::f16) precision = DType::f32;
    return engine;
}

/// As many layers for each as stay within the bytes, one at least.
std::vector<models::T5Part> divided(const models::T5EncoderConfig& config, DType precision,
                                    std::int64_t part_bytes) {
    const auto layer_bytes = config.layer_parameters() * static_cast<std::int64_t>(size_of(precision));
    const auto layers = std::max<std::int64_t>(1, part_bytes / layer_bytes);
    std::vector<models::T5Part> parts;
    for (std::int64_t begin = 0; begin < config.num_layers; begin += layers)
        parts.push_back({begin, std::min(begin + layers, config.num_layers)});
    return parts;
}

}  // namespace

T5Text::T5Text(const std::shared_ptr<const ModelSource>& source, const std::string& suffix,
               const Engine& engine, const LoadOptions& options, std::optional<std::int64_t> part_bytes)
    : config_(config_of(*source, "text_encoder" + suffix)),
      tokenizer_(T5Tokenizer::load(source->tokenizer("tokenizer" + suffix))),
      component_(source, "text_encoder" + suffix, without_f16(engine),
                 {.memory_limit = options.memory_limit}),
      parts_(divided(config_, component_.precision(),
                     part_bytes.value_or(static_cast<std::int64_t>(engine.traits().part_bytes)))) {}

std::vector<T5Text::Encoded> T5Text::operator()(const std::vector<std::string>& texts, const Wanted& wanted,
                                                const Caller& caller) const {
    const auto weights = component_.weights();
    std::vector<Encoded> result;
    std::vector<std::vector<Tensor>> inputs;
    for (const std::string& text : texts) {
        const auto encoded = tokenizer_.encode(text, wanted.tokens);
        if (encoded.lost_count > 0)
            caller.warn(fmt::format("the prompt is longer than {} tokens; this part was cut: \"{}\"",
                                    wanted.tokens, encoded.lost));
        const Tensor ids = Tensor::from({1, wanted.tokens}, std::span<const std::int64_t>(encoded.ids));
        result.push_back({{}, Tensor::from({1, wanted.tokens}, std::span<const float>(encoded.mask))});
        inputs.push_back({models::t5_token_embeddings(config_, ids, *weights)});
        if (wanted.masked) inputs.back().push_back(result.back().mask);
    }
    std::vector<Component::Piece> pieces;
    for (const models::T5Part& part : parts_)
        pieces.push_back({fmt::format("{} {} {}", part.begin, wanted.tokens, wanted.masked),
                          [&](DType precision, const WeightSource& source) {
                              return models::build_t5_encoder(config_, {1, wanted.tokens, wanted.masked},
                                                              part, precision, &source);
                          }});
    const auto outputs = component_(pieces, std::move(inputs), caller);
    for (std::size_t t = 0; t < result.size(); ++t) result[t].hidden_states = outputs[t].front();
    return result;
}

}  // namespace reprise::pipelines
