#pragma once

#include <cstdint>
#include <string_view>

#include "graph/builder.h"

namespace reprise::nn {

/// What queries and keys go through, head by head, before they meet.
enum class QkNorm : std::uint8_t {
    none,
    rms_norm,
    layer_norm,
    fp32_layer_norm,  ///< a layer norm without weights
};

/// diffusers' JointTransformerBlock (models/attention.py), the MM-DiT block of arXiv 2403.03206.
struct JointTransformerBlock {
    std::int64_t heads = 1;
    std::int64_t head_width = 64;
    bool context_pre_only = false;  ///< the last block: the text is read but not carried on
    bool dual_attention = false;    ///< a second attention of the picture alone, attn2 (Stable Diffusion 3.5)
    QkNorm qk_norm = QkNorm::none;
};

/// Text and picture, side by side.
struct JointStreams {
    graph::Value encoder_hidden_states;  ///< (B, M, C)
    graph::Value hidden_states;          ///< (B, L, C)
};

/// The streams after the block, C = heads * head_width. `condition` is the embedding of timestep and pooled
/// text (B, C) with SiLU applied. The module's outputs are diffusers': the text, then the picture; the
/// picture alone, and no text returned, where it is `context_pre_only`.
JointStreams joint_transformer_block(graph::Builder& b, std::string_view name, JointStreams streams,
                                     graph::Value condition, const JointTransformerBlock& options);

}  // namespace reprise::nn
