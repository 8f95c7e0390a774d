#include "pipelines/pixart_conditioner.h"

#include "reprise/error.h"
#include "text/caption_cleaning.h"

namespace reprise::pipelines {

using models::Conditioning;

namespace {

constexpr int kMaxTokens = 1024;

}  // namespace

PixArtConditioner::PixArtConditioner(const std::shared_ptr<const ModelSource>& source, const Engine& engine,
                                     const LoadOptions& options)
    : encoder_(source, "", engine, options),
      default_tokens_(source->class_name() == "PixArtSigmaPipeline" ? 300 : 120) {}

std::int64_t PixArtConditioner::tokens(const GenerateOptions& options) const {
    return options.max_sequence_length.value_or(default_tokens_);
}

void PixArtConditioner::check(const GenerateOptions& options) const {
    if (options.prompt_2 || options.prompt_3 || options.negative_prompt_2 || options.negative_prompt_3)
        usage_error("this model has one text encoder: prompts for a second and third do not apply to it");
    if (options.clip_skip) usage_error("this model has no CLIP text encoder: clip_skip does not apply to it");
    if (tokens(options) < 1 || tokens(options) > kMaxTokens)
        usage_error("max_sequence_length is {}; expected 1 to {}", tokens(options), kMaxTokens);
}

std::vector<Conditioning> PixArtConditioner::encode(const GenerateOptions& options, const std::string& prompt,
                                                    bool guidance) const {
    std::vector<std::string> texts = {prompt};
    if (guidance) texts.insert(texts.begin(), options.negative_prompt.value_or(""));
    for (auto& text : texts) text = options.clean_caption ? clean_caption(text) : lower_caption(text);

    std::vector<Conditioning> result;
    for (const auto& encoded : encoder_(texts, {tokens(options), true}, Caller(options))) {
        Conditioning& half = result.emplace_back();
        half.encoder_hidden_states = encoded.hidden_states;
        half.attention_mask = encoded.mask;
    }
    return result;
}

}  // namespace reprise::pipelines
