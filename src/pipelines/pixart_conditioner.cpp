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

bool PixArtConditioner::honours(options::About about) const {
    using options::About;
    return about == About::texts || about == About::t5_tokens || about == About::captions;
}

void PixArtConditioner::check(const GenerateOptions& options) const {
    if (tokens(options) < 1 || tokens(options) > kMaxTokens)
        usage_error("max_sequence_length is {}; expected 1 to {}", tokens(options), kMaxTokens);
}

std::vector<Conditioning> PixArtConditioner::encode(const GenerateOptions& options, const std::string& prompt,
                                                    bool guidance) const {
    std::vector<std::string> texts = {prompt};
    if (guidance) texts.insert(texts.begin(), options.negative_prompt.value_or(""));
    for (auto& text : texts) text = options.clean_caption ? clean_caption(text) : lower_caption(text);

    std::vector<Conditioning> result;
    for (const auto& encoded : encoder_(texts, {tokens(options), true}, Caller(options)))
        result.push_back({{models::kText, encoded.hidden_states}, {models::kTextMask, encoded.mask}});
    return result;
}

}  // namespace reprise::pipelines
