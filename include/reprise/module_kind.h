#pragma once

#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)

namespace reprise {

/// What a module is. Entries of a configuration select modules by kind.
enum class ModuleKind : std::uint8_t {
    other,  ///< not a unit of reuse: conv_in, time_embedding, ...
    block,
    resnet,
    transformer,
    transformer_block,
    self_attention,
    cross_attention,
    joint_attention,
    feed_forward,
    sampler,
    temporal_resnet,
    temporal_transformer_block,
    temporal_self_attention,
    temporal_cross_attention,
    chain,     ///< several modules that are reused as one (Entry::as_one)
    denoiser,  ///< the whole denoiser; its name is "denoiser"
    guidance,  ///< a half of guidance, not a module; the names are "unconditional" and "conditional"
};

std::string_view name_of(ModuleKind kind);
/// The kind of that name. Error (usage) with the list of names for an unknown one.
ModuleKind module_kind(std::string_view name);
/// The kind of modules of a diffusers class such as "CrossAttnDownBlock2D"; `other` for an unknown class.
ModuleKind kind_of_class(std::string_view diffusers_class);

}  // namespace reprise

#pragma GCC visibility pop
