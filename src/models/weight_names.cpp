#include "models/weight_names.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

namespace reprise::models {

namespace {

CurrentName same(std::string_view name) {
    return {std::string(name)};
}

/// transformers saves this model with or without the leading "text_model." (5.x: without). Left out are the
/// parts of a whole CLIP model and the table of positions 0, 1, 2, ... that old releases stored.
CurrentName clip_text_name(std::string_view name) {
    if (name.ends_with("position_ids") || name.starts_with("vision_model.") ||
        name.starts_with("visual_projection."))
        return {};
    if (name.starts_with("text_model.") || name.starts_with("text_projection.")) return same(name);
    return {fmt::format("text_model.{}", name)};
}

/// A text encoder without projection may come with the one it was trained with.
CurrentName clip_text_name_without_projection(std::string_view name) {
    return name.starts_with("text_projection.") ? CurrentName() : clip_text_name(name);
}

/// The same for the other half of a CLIP model.
CurrentName clip_vision_name(std::string_view name) {
    if (name.ends_with("position_ids") || name.starts_with("text_model.") ||
        name.starts_with("text_projection."))
        return {};
    if (name.starts_with("vision_model.") || name.starts_with("visual_projection.")) return same(name);
    return {fmt::format("vision_model.{}", name)};
}

/// The attention layers' names before diffusers 0.15.
CurrentName autoencoder_kl_name(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kOldNames = {
        {{".query.", ".to_q."}, {".key.", ".to_k."}, {".value.", ".to_v."}, {".proj_attn.", ".to_out.0."}}};
    std::string result(name);
    if (name.find(".mid_block.attentions.") == std::string_view::npos) return {result};
    for (const auto& [old_name, new_name] : kOldNames)
        if (const auto at = result.find(old_name); at != std::string::npos)
            return {result.replace(at, old_name.size(), new_name)};
    return {result};
}

/// Its encoder is the other autoencoder's.
CurrentName temporal_autoencoder_name(std::string_view name) {
    return name.starts_with("encoder.") ? autoencoder_kl_name(name) : same(name);
}

/// Of a whole T5, the encoder. The table of tokens may have either name, or be stored under both.
CurrentName t5_encoder_name(std::string_view name) {
    if (name.starts_with("decoder.") || name.starts_with("lm_head.")) return {};
    if (name == "encoder.embed_tokens.weight") return {"shared.weight", true};
    return same(name);
}

constexpr std::array<std::pair<std::string_view, NameRule>, 6> kRules = {{
    {"CLIPTextModel", clip_text_name_without_projection},
    {"CLIPTextModelWithProjection", clip_text_name},
    {"CLIPVisionModelWithProjection", clip_vision_name},
    {"AutoencoderKL", autoencoder_kl_name},
    {"AutoencoderKLTemporalDecoder", temporal_autoencoder_name},
    {"T5EncoderModel", t5_encoder_name},
}};

}  // namespace

NameRule name_rule(std::string_view class_name) {
    for (const auto& [name, rule] : kRules)
        if (name == class_name) return rule;
    return nullptr;
}

}  // namespace reprise::models
