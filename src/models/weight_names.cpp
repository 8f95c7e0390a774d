#include "models/weight_names.h"

#include <array>
#include <utility>

#include "reprise/error.h"

namespace reprise::models {

namespace {

/// The builder's name for a checkpoint's, empty for a key that is ignored.
using Rule = std::string (*)(std::string_view);

/// transformers saves this model with or without the leading "text_model." (5.x: without). Left out are the
/// parts of a whole CLIP model and the table of positions 0, 1, 2, ... that old releases stored.
std::string clip_text_name(std::string_view name) {
    if (name.ends_with("position_ids") || name.starts_with("vision_model.") ||
        name.starts_with("visual_projection."))
        return {};
    if (name.starts_with("text_model.") || name.starts_with("text_projection.")) return std::string(name);
    return fmt::format("text_model.{}", name);
}

/// A text encoder without projection may come with the one it was trained with.
std::string clip_text_name_without_projection(std::string_view name) {
    return name.starts_with("text_projection.") ? std::string() : clip_text_name(name);
}

/// The same for the other half of a CLIP model.
std::string clip_vision_name(std::string_view name) {
    if (name.ends_with("position_ids") || name.starts_with("text_model.") ||
        name.starts_with("text_projection."))
        return {};
    if (name.starts_with("vision_model.") || name.starts_with("visual_projection.")) return std::string(name);
    return fmt::format("vision_model.{}", name);
}

/// The attention layers' names before diffusers 0.15.
std::string autoencoder_kl_name(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kOldNames = {
        {{".query.", ".to_q."}, {".key.", ".to_k."}, {".value.", ".to_v."}, {".proj_attn.", ".to_out.0."}}};
    std::string result(name);
    if (name.find(".mid_block.attentions.") == std::string_view::npos) return result;
    for (const auto& [old_name, new_name] : kOldNames)
        if (const auto at = result.find(old_name); at != std::string::npos)
            return result.replace(at, old_name.size(), new_name);
    return result;
}

/// Of a whole T5, the encoder.
std::string t5_encoder_name(std::string_view name) {
    return name.starts_with("decoder.") || name.starts_with("lm_head.") ? std::string() : std::string(name);
}

/// Old releases stored the table of positions, which is computed.
std::string pixart_name(std::string_view name) {
    return name == "pos_embed.pos_embed" ? std::string() : std::string(name);
}

std::string same_name(std::string_view name) {
    return std::string(name);
}

constexpr std::array<std::pair<std::string_view, Rule>, 6> kRules = {{
    {"CLIPTextModel", clip_text_name_without_projection},
    {"CLIPTextModelWithProjection", clip_text_name},
    {"CLIPVisionModelWithProjection", clip_vision_name},
    {"AutoencoderKL", autoencoder_kl_name},
    {"T5EncoderModel", t5_encoder_name},
    {"PixArtTransformer2DModel", pixart_name},
}};

Rule rule_of(std::string_view class_name) {
    for (const auto& [name, rule] : kRules)
        if (name == class_name) return rule;
    return same_name;
}

}  // namespace

NamedWeights::NamedWeights(const WeightSource& source, std::string_view class_name) : source_(source) {
    const Rule rule = rule_of(class_name);
    for (const auto& source_name : source.names()) {
        std::string name = rule(source_name);
        if (name.empty()) continue;
        const auto [found, is_new] = source_names_.emplace(std::move(name), source_name);
        if (!is_new)
            usage_error("{}: '{}' and '{}' are two names of one weight; remove one of them",
                        source.description(), found->second, source_name);
    }
}

std::optional<Tensor> NamedWeights::find(std::string_view name) const {
    const auto found = source_names_.find(name);
    return found == source_names_.end() ? std::nullopt : source_.find(found->second);
}

std::vector<std::string> NamedWeights::names() const {
    std::vector<std::string> result;
    for (const auto& [name, source_name] : source_names_) {
        const auto shape = source_.shape(source_name);
        if (!shape || !shape->empty()) result.push_back(name);
    }
    return result;
}

std::unique_ptr<WeightSource> named_weights(const WeightSource* source, std::string_view class_name) {
    return source == nullptr ? nullptr : std::make_unique<NamedWeights>(*source, class_name);
}

}  // namespace reprise::models
