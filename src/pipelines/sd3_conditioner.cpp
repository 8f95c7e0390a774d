#include "pipelines/sd3_conditioner.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "models/config_checks.h"
#include "reprise/error.h"

namespace reprise::pipelines {

using models::Conditioning;

namespace {

constexpr int kDefaultT5Tokens = 256;
constexpr int kMaxT5Tokens = 512;

std::int64_t t5_tokens(const GenerateOptions& options) {
    return options.max_sequence_length.value_or(kDefaultT5Tokens);
}

/// Writes `source` (1, rows, any width) into the columns of `target` (1, more rows, width) from row `begin`.
/// What is wider is cut, the rest of narrower rows stays zero: diffusers pads by the difference, of either
/// sign.
void put_rows(const Tensor& source, std::int64_t begin, Tensor& target) {
    const auto from = static_cast<std::size_t>(source.dim(2));
    const auto to = static_cast<std::size_t>(target.dim(2));
    for (std::size_t row = 0; row < static_cast<std::size_t>(source.dim(1)); ++row)
        std::copy_n(source.span<float>().data() + row * from, std::min(from, to),
                    target.span<float>().data() + (static_cast<std::size_t>(begin) + row) * to);
}

}  // namespace

Sd3Conditioner::Sd3Conditioner(const std::shared_ptr<const ModelSource>& source, const Engine& engine,
                               const LoadOptions& options)
    : width_(models::get_size(source->config("transformer"), "joint_attention_dim", 4096)) {
    ClipEncoder::Wanted wanted = {.hidden_state = 2, .pooled = true};
    for (const char* suffix : {"", "_2"}) {
        encoders_.emplace_back(source, suffix, wanted, engine, options);
        wanted.tokens = encoders_.front().tokens();  // the first tokenizer's for both
    }
    if (!source->names("text_encoder_3")) {
        spdlog::info("{}: there is no text_encoder_3, so its tokens are zeros", source->description());
        return;
    }
    t5_.emplace(source, "_3", engine, options);
    if (t5_->width() != width_)
        usage_error("{}: its text_encoder_3 gives text of width {}, but the denoiser expects {}",
                    source->description(), t5_->width(), width_);
}

bool Sd3Conditioner::honours(options::About about) const {
    using options::About;
    // Without T5 its tokens are zeros, of which there may be more or fewer.
    return about == About::texts || about == About::second_text || about == About::clip_layers ||
           about == About::t5_tokens || (about == About::third_text && t5_);
}

void Sd3Conditioner::check(const GenerateOptions& options) const {
    if (t5_tokens(options) < 1 || t5_tokens(options) > kMaxT5Tokens)
        usage_error("max_sequence_length is {}; expected 1 to {}", t5_tokens(options), kMaxT5Tokens);
    for (const ClipEncoder& encoder : encoders_) encoder.check_clip_skip(options.clip_skip.value_or(0));
}

TextLength Sd3Conditioner::text_length(const GenerateOptions& options) const {
    return TextLength::fixed(encoders_.front().tokens() + t5_tokens(options));
}

std::int64_t Sd3Conditioner::pooled_width() const {
    std::int64_t width = 0;
    for (const ClipEncoder& encoder : encoders_) width += encoder.config().pooled_width();
    return width;
}

void Sd3Conditioner::release_large() const {
    for (const ClipEncoder& encoder : encoders_) encoder.release_large();
    if (t5_) t5_->release_large();
}

std::vector<Conditioning> Sd3Conditioner::encode(const GenerateOptions& options, const std::string& prompt,
                                                 bool guidance) const {
    const Caller caller(options);
    std::vector<Texts> halves;
    if (guidance) {
        const std::string negative = options.negative_prompt.value_or("");
        halves.push_back({negative, text_or(options.negative_prompt_2, negative),
                          text_or(options.negative_prompt_3, negative), 0});  // never skips
    }
    halves.push_back({prompt, text_or(options.prompt_2, prompt), text_or(options.prompt_3, prompt),
                      options.clip_skip.value_or(0)});

    std::vector<Conditioning> result;
    for (const Texts& texts : halves) {
        const auto encoded =
            pipelines::encode(encoders_, {texts.first, texts.second}, texts.clip_skip, caller);
        Conditioning& half = result.emplace_back();
        half[models::kPooledText] = beside(encoded[0].pooled, encoded[1].pooled);
        Tensor& text = half[models::kText] = Tensor(DType::f32, {1, text_length(options).most, width_});
        put_rows(beside(encoded[0].hidden_states, encoded[1].hidden_states), 0, text);
    }
    if (t5_) add_t5(halves, t5_tokens(options), caller, result);
    return result;
}

void Sd3Conditioner::add_t5(const std::vector<Texts>& halves, std::int64_t tokens, const Caller& caller,
                            std::vector<Conditioning>& result) const {
    for (const ClipEncoder& encoder : encoders_) encoder.release_large();
    std::vector<std::string> texts;
    for (const Texts& half : halves) texts.push_back(half.third);
    const auto encoded = (*t5_)(texts, {.tokens = tokens, .masked = false}, caller);
    for (std::size_t i = 0; i < encoded.size(); ++i)
        put_rows(encoded[i].hidden_states, encoders_.front().tokens(), result[i].at(models::kText));
}

}  // namespace reprise::pipelines
