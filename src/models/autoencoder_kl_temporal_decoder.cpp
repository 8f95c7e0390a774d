#include "models/autoencoder_kl_temporal_decoder.h"

#include <algorithm>
#include <array>
#include <string>

#include "graph/builder.h"
#include "models/config_checks.h"
#include "nn/spatio_temporal.h"
#include "nn/temporal_decoder_blocks.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Builder;
using graph::Value;

namespace {

constexpr auto kKeys = std::to_array<std::string_view>({
    "in_channels",
    "out_channels",
    "down_block_types",
    "block_out_channels",
    "layers_per_block",
    "latent_channels",
    "sample_size",
    "scaling_factor",
    "force_upcast",
});

void check_channels(const Config& config, const std::vector<std::int64_t>& channels) {
    for (const auto count : channels) {
        check_range(config, "block_out_channels", count, 1, kMaxWidth);
        if (count % nn::kSpatioTemporalGroups != 0)
            usage_error("{}: \"block_out_channels\" has {}, expected multiples of {}, the norms' groups",
                        config.file, count, nn::kSpatioTemporalGroups);
    }
}

/// What the checkpoint has and the decoder does not read.
std::vector<std::string> unread_weights(std::int64_t layers) {
    std::vector<std::string> unread = {"encoder.*", "quant_conv.*"};
    for (auto i = nn::mid_temporal_resnets(layers); i < layers; ++i)
        unread.push_back("decoder.mid_block.resnets." + std::to_string(i) + ".*");
    if (nn::mid_temporal_resnets(layers) == 1) unread.emplace_back("decoder.mid_block.attentions.0.*");
    return unread;
}

}  // namespace

AutoencoderKLTemporalDecoderConfig AutoencoderKLTemporalDecoderConfig::from(const Config& config) {
    warn_of_unknown_keys(config, kKeys);
    AutoencoderKLTemporalDecoderConfig result;
    AutoencoderKLConfig& pictures = result.pictures;
    pictures.in_channels = get_size(config, "in_channels", pictures.in_channels);
    pictures.out_channels = get_size(config, "out_channels", pictures.out_channels);
    pictures.latent_channels = get_size(config, "latent_channels", pictures.latent_channels);
    pictures.block_out_channels = config.get_or("block_out_channels", pictures.block_out_channels);
    const auto blocks = pictures.block_out_channels.size();
    if (blocks < 1 || blocks > 8)
        usage_error("{}: \"block_out_channels\" has {} entries, expected 1 to 8", config.file, blocks);
    check_channels(config, pictures.block_out_channels);
    const std::string only = "DownEncoderBlock2D";
    const auto types = config.get_or("down_block_types", std::vector<std::string>{only});
    if (types.size() != blocks)
        usage_error("{}: \"down_block_types\" has {} entries, \"block_out_channels\" {}", config.file,
                    types.size(), blocks);
    if (std::any_of(types.begin(), types.end(), [&](const auto& type) { return type != only; }))
        unsupported(config, "down_block_types", only);
    pictures.layers_per_block = get_size(config, "layers_per_block", pictures.layers_per_block, kMaxDepth);
    pictures.resnet = {nn::kSpatioTemporalGroups, 1e-6F};
    pictures.scaling_factor = config.get_or("scaling_factor", pictures.scaling_factor);
    if (!(pictures.scaling_factor > 0))
        usage_error("{}: \"scaling_factor\" is {}, expected a positive number", config.file,
                    pictures.scaling_factor);
    pictures.force_upcast = get_flag(config, "force_upcast", true);
    const auto sizes = get_sizes(config, "sample_size", 2, 32);
    pictures.sample_height = sizes[0];
    pictures.sample_width = sizes[1];
    return result;
}

graph::Graph build_temporal_decoder(const AutoencoderKLTemporalDecoderConfig& config,
                                    const VideoShape& latents, DType precision, const WeightSource* weights) {
    const AutoencoderKLConfig& pictures = config.pictures;
    const auto frames = latents.frames;
    check_shape("frames", latents.videos, 1, frames);
    check_shape("pictures", latents.videos * frames, latents.height * pictures.scale(),
                latents.width * pictures.scale());
    Builder b("vae_decoder", precision, weights);
    const auto& channels = pictures.block_out_channels;

    Value x = b.real_input(
        "latents", {latents.videos * frames, pictures.latent_channels, latents.height, latents.width});
    {
        const auto scope = b.module("decoder");
        x = b.conv2d(x, "conv_in", channels.back(), 3);
        x = nn::mid_block_temporal_decoder(b, "mid_block", x, frames, pictures.layers_per_block);
        for (std::size_t i = 0; i < channels.size(); ++i)
            x = nn::up_block_temporal_decoder(
                b, "up_blocks." + std::to_string(i), x, frames,
                {channels[channels.size() - 1 - i], pictures.layers_per_block + 1, i + 1 < channels.size()});
        constexpr float kEpsilon = 1e-6F;
        x = b.silu(b.group_norm(x, "conv_norm_out", nn::kSpatioTemporalGroups, kEpsilon));
        x = b.conv2d(x, "conv_out", pictures.out_channels, 3);

        const Shape shape = x.shape();
        x = b.reshape(x, {latents.videos, frames, shape[1], shape[2], shape[3]});
        x = b.convolution(b.transpose(x, {0, 2, 1, 3, 4}), "time_conv_out",
                          {shape[1], {3, 1, 1}, {}, {1, 0, 0}, true});
        x = b.reshape(b.transpose(x, {0, 2, 1, 3, 4}), shape);
    }
    b.output("frames", b.convert(x, DType::f32));
    return b.finish(unread_weights(pictures.layers_per_block));
}

}  // namespace reprise::models
