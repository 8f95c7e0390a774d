#include "pipelines/clip_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

models::ClipTextConfig config_of(const ModelSource& source, const std::string& name) {
    need_for_prompts(source, name);
    return models::ClipTextConfig::from(source.config(name), source.component(name).class_name);
}

/// A tokenizer may have more tokens than its encoder has rows; they are missed only where a prompt has one.
void check_rows(std::span<const std::int64_t> ids, std::int64_t rows, const std::string& encoder,
                const ClipTokenizer& tokenizer) {
    for (const std::int64_t& id : ids)
        if (id < 0 || id >= rows)
            usage_error(
                "the prompt has the token '{}' of id {}, for which the {} has no embedding (it has {})",
                printable(tokenizer.decode({&id, 1})), id, encoder, rows);
}

}  // namespace

ClipEncoder::ClipEncoder(const std::shared_ptr<const ModelSource>& source, const std::string& suffix,
                         Wanted wanted, Engine engine, const LoadOptions& options)
    : wanted_(wanted),
      config_(config_of(*source, "text_encoder" + suffix)),
      tokenizer_(ClipTokenizer::load(source->tokenizer("tokenizer" + suffix))),
      component_(source, "text_encoder" + suffix, std::move(engine), {.memory_limit = options.memory_limit}) {
}

void ClipEncoder::check_clip_skip(int clip_skip) const {
    if (clip_skip < 0 || clip_skip >= config_.num_hidden_layers)
        usage_error("clip_skip is {}; expected 0 to {}, as {} has {} layers", clip_skip,
                    config_.num_hidden_layers - 1, component_.name(), config_.num_hidden_layers);
}

ClipEncoder::Encoded ClipEncoder::operator()(const std::string& text, int clip_skip,
                                             const Caller& caller) const {
    const auto encoded =
        tokenizer_.encode(wanted_.all_vectors ? tokenizer_.with_all_vectors(text) : text, tokens());
    check_rows(encoded.ids, config_.vocab_size, component_.name(), tokenizer_);
    const Tensor ids = Tensor::from({1, tokens()}, std::span<const std::int64_t>(encoded.ids));
    std::vector<Tensor> inputs = {ids};
    if (wanted_.pooled) inputs.push_back(models::pooled_index(ids, config_.eos_token_id));
    const auto outputs = component_(
        {std::to_string(clip_skip),
         [&](DType precision, const WeightSource& weights) {
             return models::build_clip_text(
                 config_, {1, tokens()},
                 {wanted_.hidden_state + clip_skip, wanted_.final_norm, wanted_.pooled}, precision, &weights);
         }},
        inputs, caller);
    Encoded result{outputs[0], wanted_.pooled ? outputs[1] : Tensor(), {}};
    if (!encoded.lost.empty())
        result.warning = fmt::format("the prompt is longer than {} tokens; this part was cut: \"{}\"",
                                     tokens(), encoded.lost);
    return result;
}

std::vector<ClipEncoder::Encoded> encode(const std::vector<ClipEncoder>& encoders,
                                         const std::vector<std::string>& texts, int clip_skip,
                                         const Caller& caller) {
    std::vector<std::future<ClipEncoder::Encoded>> running;
    for (std::size_t i = 0; i < encoders.size(); ++i)
        running.push_back(
            std::async(std::launch::async, [&, i] { return encoders[i](texts[i], clip_skip, caller); }));
    std::vector<ClipEncoder::Encoded> result;
    for (auto& each : running) {
        result.push_back(each.get());
        if (!result.back().warning.empty()) caller.warn(result.back().warning);
    }
    return result;
}

void check_equal_tokens(const ClipEncoder& first, const ClipEncoder& second) {
    if (first.tokens() != second.tokens())
        usage_error("{}: its tokenizer makes {} tokens, but the first one makes {}", second.where(),
                    second.tokens(), first.tokens());
}

Tensor beside(const Tensor& a, const Tensor& b) {
    const auto width_a = static_cast<std::size_t>(a.shape().back());
    const auto width_b = static_cast<std::size_t>(b.shape().back());
    Shape shape = a.shape();
    shape.back() += b.shape().back();
    Tensor result(DType::f32, shape);
    float* out = result.span<float>().data();
    for (std::size_t row = 0; row < static_cast<std::size_t>(a.count()) / width_a; ++row) {
        out = std::copy_n(a.span<float>().data() + row * width_a, width_a, out);
        out = std::copy_n(b.span<float>().data() + row * width_b, width_b, out);
    }
    return result;
}

std::string text_or(const std::optional<std::string>& text, const std::string& first) {
    return text && !text->empty() ? *text : first;
}

}  // namespace reprise::pipelines
