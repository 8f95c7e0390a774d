#include "reprise/module_kind.h"

#include <array>
#include <utility>

#include "reprise/error.h"

namespace reprise {

namespace {

constexpr std::array<std::pair<ModuleKind, std::string_view>, 17> kKindNames = {{
    {ModuleKind::other, "other"},
    {ModuleKind::block, "block"},
    {ModuleKind::resnet, "resnet"},
    {ModuleKind::transformer, "transformer"},
    {ModuleKind::transformer_block, "transformer_block"},
    {ModuleKind::self_attention, "self_attention"},
    {ModuleKind::cross_attention, "cross_attention"},
    {ModuleKind::joint_attention, "joint_attention"},
    {ModuleKind::feed_forward, "feed_forward"},
    {ModuleKind::sampler, "sampler"},
    {ModuleKind::temporal_resnet, "temporal_resnet"},
    {ModuleKind::temporal_transformer_block, "temporal_transformer_block"},
    {ModuleKind::temporal_self_attention, "temporal_self_attention"},
    {ModuleKind::temporal_cross_attention, "temporal_cross_attention"},
    {ModuleKind::chain, "chain"},
    {ModuleKind::denoiser, "denoiser"},
    {ModuleKind::guidance, "guidance"},
}};

constexpr std::array<std::pair<std::string_view, ModuleKind>, 25> kClassKinds = {{
    {"DownBlock2D", ModuleKind::block},
    {"CrossAttnDownBlock2D", ModuleKind::block},
    {"UNetMidBlock2DCrossAttn", ModuleKind::block},
    {"UNetMidBlock2D", ModuleKind::block},
    {"UpBlock2D", ModuleKind::block},
    {"CrossAttnUpBlock2D", ModuleKind::block},
    {"DownBlockSpatioTemporal", ModuleKind::block},
    {"CrossAttnDownBlockSpatioTemporal", ModuleKind::block},
    {"UNetMidBlockSpatioTemporal", ModuleKind::block},
    {"UpBlockSpatioTemporal", ModuleKind::block},
    {"CrossAttnUpBlockSpatioTemporal", ModuleKind::block},
    {"ResnetBlock2D", ModuleKind::resnet},
    {"SpatioTemporalResBlock", ModuleKind::resnet},
    {"TemporalResnetBlock", ModuleKind::temporal_resnet},
    {"Transformer2DModel", ModuleKind::transformer},
    {"TransformerSpatioTemporalModel", ModuleKind::transformer},
    {"BasicTransformerBlock", ModuleKind::transformer_block},
    {"JointTransformerBlock", ModuleKind::block},
    {"TemporalBasicTransformerBlock", ModuleKind::temporal_transformer_block},
    {"FeedForward", ModuleKind::feed_forward},
    {"Downsample2D", ModuleKind::sampler},
    {"Upsample2D", ModuleKind::sampler},
    {"JointAttention", ModuleKind::joint_attention},
    {"CLIPEncoderLayer", ModuleKind::block},
    {"T5Block", ModuleKind::block},
}};

}  // namespace

std::string_view name_of(ModuleKind kind) {
    return kKindNames.at(static_cast<std::size_t>(kind)).second;
}

ModuleKind module_kind(std::string_view name) {
    std::string known;
    for (const auto& [kind, kind_name] : kKindNames) {
        if (kind_name == name) return kind;
        known += known.empty() ? "" : ", ";
        known += kind_name;
    }
    usage_error("'{}' is not a kind of module; there are {}", name, known);
}

ModuleKind kind_of_class(std::string_view diffusers_class) {
    for (const auto& [name, kind] : kClassKinds)
        if (name == diffusers_class) return kind;
    return ModuleKind::other;
}

}  // namespace reprise
