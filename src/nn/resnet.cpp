#include "nn/resnet.h"

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Value;

namespace {

/// (B, C) as one value for each picture and channel: (B, C, 1, 1).
Value per_channel(Builder& b, Value x) {
    return b.reshape(x, {x.dim(0), x.dim(1), 1, 1});
}

}  // namespace

Value resnet_block_2d(Builder& b, std::string_view name, Value x, Value time, std::int64_t out_channels,
                      const ResnetBlock2D& options) {
    auto scope = b.module(name, ModuleKind::resnet);
    scope.takes({x});
    const auto norm = [&](Value value, std::string_view layer) {
        return b.group_norm(value, layer, options.groups, options.epsilon);
    };
    Value hidden = b.unary(norm(x, "norm1"), options.activation);
    hidden = b.conv2d(hidden, "conv1", out_channels, 3);
    if (time.defined() && options.scale_shift) {
        const auto parts = b.split(b.linear(time, "time_emb_proj", 2 * out_channels), 2, 1);
        hidden = norm(hidden, "norm2") * per_channel(b, parts[0] + 1.0F) + per_channel(b, parts[1]);
    } else {
        if (time.defined()) hidden = hidden + per_channel(b, b.linear(time, "time_emb_proj", out_channels));
        hidden = norm(hidden, "norm2");
    }
    hidden = b.conv2d(b.unary(hidden, options.activation), "conv2", out_channels, 3);
    const Value shortcut = x.dim(1) == out_channels ? x : b.conv2d(x, "conv_shortcut", out_channels, 1);
    Value sum = shortcut + hidden;
    if (options.output_scale_factor != 1) sum = sum * (1 / options.output_scale_factor);
    return scope.returns(sum);
}

Value downsample_2d(Builder& b, std::string_view name, Value x, std::int64_t padding) {
    auto scope = b.module(name, ModuleKind::sampler);
    scope.takes({x});
    const auto channels = x.dim(1);
    if (padding == 0) x = b.pad(x, {0, 0, 0, 0}, {0, 0, 1, 1});
    return scope.returns(b.conv2d(x, "conv", channels, 3, 2, padding));
}

Value upsample_2d(Builder& b, std::string_view name, Value x, PictureSize size) {
    auto scope = b.module(name, ModuleKind::sampler);
    scope.takes({x});
    const Value larger = b.upsample_nearest(x, size.height, size.width);
    return scope.returns(b.conv2d(larger, "conv", x.dim(1), 3));
}

}  // namespace reprise::nn
