#include "nn/spatio_temporal.h"

#include <string>

#include "nn/attention.h"
#include "nn/embeddings.h"
#include "nn/resnet.h"

namespace reprise::nn {

using graph::Builder;
using graph::ModuleKind;
using graph::Unary;
using graph::Value;

namespace {

/// (B * F, C, H, W) to (B, C, F, H * W): a convolution over time is one of two dimensions there.
Value frames_to_rows(Builder& b, Value x, std::int64_t frames) {
    const auto split = b.reshape(x, {x.dim(0) / frames, frames, x.dim(1), x.dim(2) * x.dim(3)});
    return b.transpose(split, {0, 2, 1, 3});
}

/// And back, with the height and width of `like`.
Value rows_to_frames(Builder& b, Value x, Value like) {
    return b.reshape(b.transpose(x, {0, 2, 1, 3}), {x.dim(0) * x.dim(2), x.dim(1), like.dim(2), like.dim(3)});
}

Value alpha_blender(Builder& b, Value spatial, Value temporal, bool switched) {
    const auto scope = b.module("time_mixer");
    const Value share = b.unary(b.weight("mix_factor", {1}), Unary::sigmoid);
    const Value rest = b.affine(share, -1, 1);
    return switched ? rest * spatial + share * temporal : share * spatial + rest * temporal;
}

/// TemporalResnetBlock over rows (B, C, F, H * W); its module takes and gives (B, C, F, H, W), as in
/// diffusers. `like` has the height and width.
Value temporal_resnet_block(Builder& b, Value x, Value time, Value like,
                            const SpatioTemporalResBlock& options) {
    const auto channels = x.dim(1);
    const Shape video = {x.dim(0), channels, x.dim(2), like.dim(2), like.dim(3)};
    const Value input = b.reshape(x, video);
    Value result;
    {
        auto scope = b.module("temporal_res_block", ModuleKind::temporal_resnet);
        scope.takes({input});
        const auto activated_norm = [&](Value value, std::string_view layer) {
            return b.silu(b.group_norm(value, layer, kSpatioTemporalGroups, options.temporal_epsilon));
        };
        const Builder::Convolution over_time = {channels, {3, 1}, {1, 1}, {1, 0}, true};
        Value hidden = b.convolution(activated_norm(x, "norm1"), "conv1", over_time);
        if (time.defined())
            hidden =
                hidden + b.reshape(b.linear(time, "time_emb_proj", channels), {time.dim(0), channels, 1, 1});
        hidden = b.convolution(activated_norm(hidden, "norm2"), "conv2", over_time);
        result = scope.returns(b.reshape(x + hidden, video));
    }
    return b.reshape(result, x.shape());
}

/// diffusers' TemporalBasicTransformerBlock (models/attention.py): every pixel's frames are the tokens.
/// x is (B * F, H * W, C).
Value temporal_transformer_block(Builder& b, std::string_view name, Value x, Value context,
                                 std::int64_t frames, const TransformerSpatioTemporal& options) {
    constexpr float kEpsilon = 1e-5F;
    auto scope = b.module(name, ModuleKind::temporal_transformer_block);
    scope.takes({x});
    const auto videos = x.dim(0) / frames;
    const auto pixels = x.dim(1);
    const auto width = x.dim(2);
    const Attention attention_options = {options.heads, width / options.heads, false, true, true};
    Value hidden = b.transpose(b.reshape(x, {videos, frames, pixels, width}), {0, 2, 1, 3});
    hidden = b.reshape(hidden, {videos * pixels, frames, width});
    hidden = feed_forward(b, "ff_in", b.layer_norm(hidden, "norm_in", kEpsilon)) + hidden;
    hidden = attention(b, "attn1", b.layer_norm(hidden, "norm1", kEpsilon), {}, attention_options) + hidden;
    hidden =
        attention(b, "attn2", b.layer_norm(hidden, "norm2", kEpsilon), context, attention_options) + hidden;
    hidden = feed_forward(b, "ff", b.layer_norm(hidden, "norm3", kEpsilon)) + hidden;
    hidden = b.transpose(b.reshape(hidden, {videos, pixels, frames, width}), {0, 2, 1, 3});
    return scope.returns(b.reshape(hidden, x.shape()));
}

}  // namespace

Value spatio_temporal_res_block(Builder& b, std::string_view name, Value x, const VideoTime& time,
                                std::int64_t out_channels, const SpatioTemporalResBlock& options) {
    auto scope = b.module(name, ModuleKind::resnet);
    scope.takes({x});
    ResnetBlock2D spatial_options;
    spatial_options.groups = kSpatioTemporalGroups;
    spatial_options.epsilon = options.epsilon;
    const Value spatial =
        resnet_block_2d(b, "spatial_res_block", x, time.of_frames, out_channels, spatial_options);
    const Value rows = frames_to_rows(b, spatial, options.frames);
    const Value temporal = temporal_resnet_block(b, rows, time.of_videos, spatial, options);
    return scope.returns(
        rows_to_frames(b, alpha_blender(b, rows, temporal, options.blend_switched), spatial));
}

Value transformer_spatio_temporal(Builder& b, std::string_view name, Value x, Value context,
                                  Value frame_numbers, const TransformerSpatioTemporal& options) {
    constexpr float kEpsilon = 1e-6F;
    auto scope = b.module(name, ModuleKind::transformer);
    scope.takes({x});
    const auto width = x.dim(1);
    const auto frames = frame_numbers.dim(0);
    Value positions =
        timestep_embedding(b, "time_pos_embed", frame_numbers, {4 * width, Unary::silu, {}, width});
    positions = b.reshape(positions, {1, frames, 1, width});

    const Transformer2D spatial = {options.heads, width / options.heads, options.layers,
                                   kSpatioTemporalGroups};
    Value tokens = picture_to_tokens(b, b.group_norm(x, "norm", kSpatioTemporalGroups, kEpsilon));
    tokens = b.linear(tokens, "proj_in", width);
    if (options.layers == 0) b.weight("time_mixer.mix_factor", {1});  // read, so that it is not left over
    const Shape by_frame = {x.dim(0) / frames, frames, tokens.dim(1), width};
    for (std::int64_t i = 0; i < options.layers; ++i) {
        const std::string number = std::to_string(i);
        tokens = basic_transformer_block(b, "transformer_blocks." + number, tokens, context, spatial);
        const Value numbered = b.reshape(b.reshape(tokens, by_frame) + positions, tokens.shape());
        const Value mixed = temporal_transformer_block(b, "temporal_transformer_blocks." + number, numbered,
                                                       context, frames, options);
        tokens = alpha_blender(b, tokens, mixed, false);
    }
    return scope.returns(tokens_to_picture(b, b.linear(tokens, "proj_out", width), x) + x);
}

}  // namespace reprise::nn
