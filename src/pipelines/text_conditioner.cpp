#include "pipelines/text_conditioner.h"

#include "pipelines/as_loaded.h"
#include "reprise/error.h"

namespace reprise::pipelines {

using models::Conditioning;

TextConditioner::TextConditioner(const std::shared_ptr<const ModelSource>& source, const Engine& engine,
                                 const LoadOptions& options) {
    const auto add = [&](const char* suffix, ClipEncoder::Wanted wanted) {
        wanted.all_vectors = true;
        encoders_.emplace_back(source, suffix, wanted, engine, options);
    };
    if (!is_stable_diffusion_xl(*source)) {
        add("", {.hidden_state = 1, .final_norm = true});
        return;
    }
    force_zeros_ = is_set(source->index(), "force_zeros_for_empty_prompt", true);
    const bool first = source->names("text_encoder");
    if (first != source->names("tokenizer"))
        usage_error("{}: of text_encoder and tokenizer one is null; expected both or none",
                    source->description());
    // The pooled text is the first result that is one vector, which those of classes with projection are.
    const bool pools = first && source->component("text_encoder").class_name == "CLIPTextModelWithProjection";
    if (first) add("", {.hidden_state = 2, .pooled = pools});
    add("_2", {.hidden_state = 2, .pooled = !pools});
    pooled_of_ = pools ? 0 : encoders_.size() - 1;
    if (two_encoders()) check_equal_tokens(encoders_[0], encoders_[1]);
}

void TextConditioner::release_large() const {
    for (const ClipEncoder& encoder : encoders_) encoder.release_large();
}

std::int64_t TextConditioner::text_width() const {
    std::int64_t width = 0;
    for (const ClipEncoder& encoder : encoders_) width += encoder.config().hidden_size;
    return width;
}

Conditioning TextConditioner::encode_texts(const std::vector<std::string>& texts, int clip_skip,
                                           const Caller& caller) const {
    Conditioning result;
    for (const ClipEncoder::Encoded& encoded : pipelines::encode(encoders_, texts, clip_skip, caller)) {
        Tensor& text = result[models::kText];
        text = text.defined() ? beside(text, encoded.hidden_states) : encoded.hidden_states;
        if (encoded.pooled.defined()) result[models::kPooledText] = encoded.pooled;
    }
    return result;
}

bool TextConditioner::honours(options::About about) const {
    using options::About;
    return about == About::texts || about == About::clip_layers ||
           (about == About::second_text && two_encoders());
}

void TextConditioner::check(const GenerateOptions& options) const {
    for (const ClipEncoder& encoder : encoders_) encoder.check_clip_skip(options.clip_skip.value_or(0));
}

std::vector<Conditioning> TextConditioner::encode(const GenerateOptions& options, const std::string& prompt,
                                                  bool guidance) const {
    const Caller caller(options);
    const Conditioning conditional =
        encode_texts({prompt, text_or(options.prompt_2, prompt)}, options.clip_skip.value_or(0), caller);
    std::vector<Conditioning> halves = {conditional};
    if (guidance) {
        Conditioning unconditional;
        if (!options.negative_prompt && force_zeros_) {
            for (const auto& [name, tensor] : conditional)
                unconditional[name] = Tensor(DType::f32, tensor.shape());
        } else {
            const std::string negative = options.negative_prompt.value_or("");
            unconditional =
                encode_texts({negative, text_or(options.negative_prompt_2, negative)}, 0,  // never skips
                             caller);
        }
        halves.insert(halves.begin(), unconditional);
    }
    return halves;
}

}  // namespace reprise::pipelines
