#include "pipelines/text_conditioner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

#include "reprise/error.h"

namespace reprise::pipelines {

using models::Conditioning;

TextConditioner::TextConditioner(const ModelFolder& folder, Engine engine, const LoadOptions& options)
    : engine_(std::move(engine)),
      variant_(options.variant),
      keep_parameters_below_(options.keep_parameters_below) {
    two_encoders_ = folder.has("text_encoder_2");
    force_zeros_ = two_encoders_ && folder.index().get_or("force_zeros_for_empty_prompt", true);
    for (const char* suffix : {"", "_2"}) {
        const std::string name = std::string("text_encoder") + suffix;
        if (*suffix != '\0' && !two_encoders_) break;
        if (!folder.has(name))
            usage_error("{}: this folder has no {}; Reprise needs it to encode prompts",
                        folder.path().string(), name);
        const std::string& class_name = folder.component(name).class_name;
        encoders_.push_back({name, models::ClipTextConfig::from(folder.config(name), class_name),
                             ClipTokenizer::load(folder.path(std::string("tokenizer") + suffix)),
                             folder.path(name), nullptr, -1});
        const Encoder& encoder = encoders_.back();
        if (encoder.tokenizer.vocab_size() > encoder.config.vocab_size)
            usage_error(
                "{}: its tokenizer gives ids up to {}, but the encoder knows {}; they are of different "
                "models",
                encoder.folder.string(), encoder.tokenizer.vocab_size() - 1, encoder.config.vocab_size);
        if (encoder.tokenizer.max_length() != tokens())
            usage_error("{}: its tokenizer makes {} tokens, but the first one makes {}",
                        encoder.folder.string(), encoder.tokenizer.max_length(), tokens());
    }
}

void TextConditioner::release_large() {
    for (Encoder& encoder : encoders_)
        if (encoder.parameters > keep_parameters_below_) encoder.compiled.reset();
}

std::int64_t TextConditioner::text_width() const {
    std::int64_t width = 0;
    for (const Encoder& encoder : encoders_) width += encoder.config.hidden_size;
    return width;
}

TextConditioner::Encoded TextConditioner::run(Encoder& encoder, const std::string& text, int clip_skip) {
    const auto encoded = encoder.tokenizer.encode(text);
    if (!encoded.lost.empty())
        spdlog::warn("the prompt is longer than {} tokens; this part was cut: \"{}\"",
                     encoder.tokenizer.max_length(), encoded.lost);
    const Tensor ids = Tensor::from({1, tokens()}, std::span<const std::int64_t>(encoded.ids));
    const bool pooled = two_encoders_ && &encoder == &encoders_.back();
    if (!encoder.compiled || encoder.compiled_skip != clip_skip) {
        models::ClipTextOutputs outputs;
        outputs.hidden_state = clip_skip + (two_encoders_ ? 2 : 1);
        outputs.final_norm = !two_encoders_;
        outputs.pooled = pooled;
        const auto weights = open_weights(encoder.folder, variant_, engine_.options.precision);
        const auto graph = models::build_clip_text(encoder.config, {1, tokens()}, outputs,
                                                   engine_.options.precision, weights.get());
        encoder.compiled = std::make_unique<CompiledGraph>(graph, engine_);
        encoder.compiled_skip = clip_skip;
        encoder.parameters = graph::parameter_count(graph, 0);
        weights->release_pages();
    }
    std::vector<Tensor> inputs = {ids};
    if (pooled) inputs.push_back(models::pooled_index(ids, encoder.config.eos_token_id));
    auto outputs = (*encoder.compiled)(inputs);
    return {outputs[0], pooled ? outputs[1] : Tensor()};
}

namespace {

/// (1, L, A) and (1, L, B) to (1, L, A + B).
Tensor beside(const Tensor& a, const Tensor& b) {
    Tensor result(DType::f32, {1, a.dim(1), a.dim(2) + b.dim(2)});
    const auto out = result.span<float>();
    const auto width_a = static_cast<std::size_t>(a.dim(2));
    const auto width_b = static_cast<std::size_t>(b.dim(2));
    for (std::size_t row = 0; row < static_cast<std::size_t>(a.dim(1)); ++row) {
        auto* target = out.data() + row * (width_a + width_b);
        std::copy_n(a.span<float>().data() + row * width_a, width_a, target);
        std::copy_n(b.span<float>().data() + row * width_b, width_b, target + width_a);
    }
    return result;
}

}  // namespace

Conditioning TextConditioner::encode_texts(const std::vector<std::string>& texts, int clip_skip) {
    Conditioning result;
    for (std::size_t i = 0; i < encoders_.size(); ++i) {
        const Encoded encoded = run(encoders_[i], texts[i], clip_skip);
        result.encoder_hidden_states =
            i == 0 ? encoded.hidden : beside(result.encoder_hidden_states, encoded.hidden);
        if (encoded.pooled.defined()) result.text_embeds = encoded.pooled;
    }
    return result;
}

namespace {

/// As in diffusers, an empty second text means the first.
std::string given(const std::optional<std::string>& text, const std::string& otherwise) {
    return text && !text->empty() ? *text : otherwise;
}

}  // namespace

void TextConditioner::check(const GenerateOptions& options) const {
    if (!two_encoders_ && (options.prompt_2 || options.negative_prompt_2))
        usage_error("this model has one text encoder: prompt_2 and negative_prompt_2 do not apply to it");
    if (options.prompt_3 || options.negative_prompt_3)
        usage_error("this model has {} text encoder{}: prompt_3 and negative_prompt_3 do not apply to it",
                    encoders_.size(), two_encoders_ ? "s" : "");
    if (options.max_sequence_length)
        usage_error("this model has no T5 encoder: max_sequence_length does not apply to it");
    if (!two_encoders_ &&
        (options.original_size || options.target_size || options.crops_coords_top_left != std::pair(0, 0)))
        usage_error("this model does not take sizes and crops as conditions");
    const int skip = options.clip_skip.value_or(0);
    for (const Encoder& encoder : encoders_)
        if (skip < 0 || skip >= encoder.config.num_hidden_layers)
            usage_error("clip_skip is {}; expected 0 to {}, as {} has {} layers", skip,
                        encoder.config.num_hidden_layers - 1, encoder.name, encoder.config.num_hidden_layers);
}

namespace {

/// Original size, crop's corner and target size of a picture.
Tensor time_ids(const GenerateOptions& options, std::pair<int, int> size) {
    const auto original = options.original_size.value_or(size);
    const auto target = options.target_size.value_or(size);
    const auto& crop = options.crops_coords_top_left;
    std::vector<float> ids;
    for (const int id :
         {original.first, original.second, crop.first, crop.second, target.first, target.second})
        ids.push_back(static_cast<float>(id));
    return Tensor::from({1, 6}, std::span<const float>(ids));
}

}  // namespace

std::vector<Conditioning> TextConditioner::encode(const Request& request) {
    const GenerateOptions& options = request.options;
    const Conditioning conditional = encode_texts({request.prompt, given(options.prompt_2, request.prompt)},
                                                  options.clip_skip.value_or(0));
    std::vector<Conditioning> halves = {conditional};
    if (request.guidance) {
        Conditioning unconditional;
        if (!options.negative_prompt && force_zeros_) {
            unconditional.encoder_hidden_states =
                Tensor(DType::f32, conditional.encoder_hidden_states.shape());
            unconditional.text_embeds = Tensor(DType::f32, conditional.text_embeds.shape());
        } else {
            const std::string negative = options.negative_prompt.value_or("");
            unconditional =
                encode_texts({negative, given(options.negative_prompt_2, negative)}, 0);  // never skips
        }
        halves.insert(halves.begin(), unconditional);
    }
    if (two_encoders_)
        for (Conditioning& half : halves) half.time_ids = time_ids(options, {request.height, request.width});
    return halves;
}

}  // namespace reprise::pipelines
