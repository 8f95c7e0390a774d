#pragma once

#include <string_view>

#include "graph/builder.h"

namespace reprise::nn {

/// A picture x (B, C, H, W) as patches of `side` x `side`, projected by the layer "<name>", row by row:
/// (B, H / side * W / side, width).
graph::Value picture_to_patches(graph::Builder& b, std::string_view name, graph::Value x, std::int64_t side,
                                std::int64_t width);

/// Patches (B, rows * columns, side * side * C), channels last in each, back to a picture
/// (B, C, rows * side, columns * side).
graph::Value patches_to_picture(graph::Builder& b, graph::Value x, std::int64_t rows, std::int64_t columns,
                                std::int64_t side);

}  // namespace reprise::nn
