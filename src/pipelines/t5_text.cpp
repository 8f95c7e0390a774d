#include "pipelines/t5_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

std::filesystem::path path_of(const ModelFolder& folder, const std::string& name) {
    if (!folder.has(name))
        usage_error("{}: this folder has no {}; Reprise needs it to encode prompts", folder.path().string(),
                    name);
    return folder.path(name);
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

T5Text::T5Text(const ModelFolder& folder, const std::string& suffix, Engine engine,
               const LoadOptions& options, std::optional<std::int64_t> part_bytes)
    : engine_(without_f16(std::move(engine))),
      variant_(options.variant),
      folder_(path_of(folder, "text_encoder" + suffix)),
      config_(models::T5EncoderConfig::from(folder.config("text_encoder" + suffix))),
      tokenizer_(T5Tokenizer::load(folder.path("tokenizer" + suffix))),
      parts_(divided(config_, engine_.options.precision,
                     part_bytes.value_or(static_cast<std::int64_t>(engine_.traits().part_bytes)))) {
    memory_limit_ = options.memory_limit;
}

void T5Text::release_large() const {
    compiled_.release_beyond(memory_limit_);
}

void T5Text::run_part(std::size_t part, std::vector<Encoded>& texts, const Wanted& wanted,
                      const std::shared_ptr<const WeightSource>& weights, const Caller& caller) const {
    auto compiled = compiled_.get(
        fmt::format("{} {} {}", part, wanted.tokens, wanted.masked), engine_,
        [&] {
            auto graph = models::build_t5_encoder(config_, {1, wanted.tokens, wanted.masked}, parts_[part],
                                                  engine_.options.precision, weights.get());
            weights->release_pages();  // what had to be converted was read and is held by the graph
            return CompiledGraphs::Built{std::move(graph), weights};
        },
        caller);
    for (Encoded& text : texts) {
        std::vector<Tensor> inputs = {text.hidden_states};
        if (wanted.masked) inputs.push_back(text.mask);
        text.hidden_states = backends::Compiled::run(compiled, inputs)[0];
    }
    compiled.reset();
    if (parts_.size() > 1) compiled_.release();
}

std::vector<T5Text::Encoded> T5Text::operator()(const std::vector<std::string>& texts, const Wanted& wanted,
                                                const Caller& caller) const {
    const auto weights = open_weights(folder_, variant_, engine_.options.precision, Library::transformers);
    std::vector<Encoded> result;
    for (const std::string& text : texts) {
        const auto encoded = tokenizer_.encode(text, wanted.tokens);
        if (encoded.lost_count > 0)
            caller.warn(fmt::format("the prompt is longer than {} tokens; this part was cut: \"{}\"",
                                    wanted.tokens, encoded.lost));
        const Tensor ids = Tensor::from({1, wanted.tokens}, std::span<const std::int64_t>(encoded.ids));
        result.push_back({models::t5_token_embeddings(config_, ids, *weights),
                          Tensor::from({1, wanted.tokens}, std::span<const float>(encoded.mask))});
    }
    for (std::size_t part = 0; part < parts_.size(); ++part) run_part(part, result, wanted, weights, caller);
    for (const Encoded& text : result)
        check_finite(text.hidden_states, "the result of " + folder_.filename().string());
    return result;
}

}  // namespace reprise::pipelines
