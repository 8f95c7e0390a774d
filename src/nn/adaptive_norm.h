#pragma once

#include <string_view>
#include <vector>

#include "graph/builder.h"

namespace reprise::nn {

/// The epsilon of every norm that is modulated (diffusers: models/normalization.py).
inline constexpr float kAdaptiveNormEpsilon = 1e-6F;

/// Layer "<name>": `count` vectors (B or 1, 1, width) made from the condition (B or 1, C), whose activation
/// was already applied.
std::vector<graph::Value> modulations(graph::Builder& b, std::string_view name, graph::Value condition,
                                      std::int64_t count, std::int64_t width);

/// x * (1 + scale) + shift, over x (B, L, C).
graph::Value modulated(graph::Value x, graph::Value scale, graph::Value shift);

/// diffusers' AdaLayerNormContinuous without weights of its norm: x (B, L, C) normed, scaled and shifted by
/// what "<name>.linear" makes of the condition, as in `modulations`.
graph::Value ada_layer_norm_continuous(graph::Builder& b, std::string_view name, graph::Value x,
                                       graph::Value condition);

}  // namespace reprise::nn
