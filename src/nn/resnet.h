#pragma once

#include <string_view>

#include "graph/builder.h"

namespace reprise::nn {

/// How every ResnetBlock2D of a model is made (diffusers: models/resnet.py).
struct ResnetBlock2D {
    std::int64_t groups = 32;  ///< of both group norms
    float epsilon = 1e-6F;
    graph::Unary activation = graph::Unary::silu;
    /// The time embedding scales and shifts the second norm's result ("scale_shift"), where otherwise it is
    /// added before that norm ("default").
    bool scale_shift = false;
    float output_scale_factor = 1;  ///< the sum is divided by it
};

/// x (B, C, H, W) to (B, out_channels, H, W). `time` is the time embedding (B or 1, T) with the block's
/// activation already applied, or undefined where the model has none. A shortcut convolution is there when
/// the number of channels changes.
graph::Value resnet_block_2d(graph::Builder& b, std::string_view name, graph::Value x, graph::Value time,
                             std::int64_t out_channels, const ResnetBlock2D& options);

/// Halves the picture by a 3x3 convolution. `padding` is 1, or 0 for one row and column of zeros after the
/// last ones only, as autoencoders have it.
graph::Value downsample_2d(graph::Builder& b, std::string_view name, graph::Value x, std::int64_t padding);

struct PictureSize {
    std::int64_t height = 0, width = 0;
};
/// The nearest pixels at the given size, then a 3x3 convolution.
graph::Value upsample_2d(graph::Builder& b, std::string_view name, graph::Value x, PictureSize size);

}  // namespace reprise::nn
