#include "models/autoencoder_kl.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "models/config_checks.h"
#include "nn/autoencoder_blocks.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Builder;
using graph::Unary;
using graph::Value;

namespace {

constexpr auto kKeys = std::to_array<std::string_view>({
    "in_channels",
    "out_channels",
    "down_block_types",
    "up_block_types",
    "block_out_channels",
    "layers_per_block",
    "act_fn",
    "latent_channels",
    "norm_num_groups",
    "sample_size",
    "scaling_factor",
    "shift_factor",
    "latents_mean",
    "latents_std",
    "force_upcast",
    "use_quant_conv",
    "use_post_quant_conv",
    "mid_block_add_attention",
});

void check_block_types(const Config& config, std::string_view key, const std::string& only,
                       std::size_t count) {
    const auto types = config.get_or(key, std::vector<std::string>{only});
    if (types.size() != count)
        usage_error("{}: \"{}\" has {} entries, \"block_out_channels\" {}", config.file, key, types.size(),
                    count);
    if (std::any_of(types.begin(), types.end(), [&](const auto& type) { return type != only; }))
        unsupported(config, key, only);
}

std::optional<std::vector<float>> read_statistics(const Config& config, std::string_view key,
                                                  std::int64_t channels) {
    auto values = config.find<std::vector<float>>(key);
    if (values && values->size() != static_cast<std::size_t>(channels))
        usage_error("{}: \"{}\" has {} entries for {} latent channels", config.file, key, values->size(),
                    channels);
    return values;
}

Value normed_output(Builder& b, Value x, std::int64_t channels, const nn::ResnetBlock2D& resnet) {
    x = b.unary(b.group_norm(x, "conv_norm_out", resnet.groups, resnet.epsilon), Unary::silu);
    return b.conv2d(x, "conv_out", channels, 3);
}

}  // namespace

AutoencoderKLConfig AutoencoderKLConfig::from(const Config& config) {
    warn_of_unknown_keys(config, kKeys);
    AutoencoderKLConfig result;
    result.in_channels = get_size(config, "in_channels", result.in_channels);
    result.out_channels = get_size(config, "out_channels", result.out_channels);
    result.latent_channels = get_size(config, "latent_channels", result.latent_channels);
    result.block_out_channels = config.get_or("block_out_channels", result.block_out_channels);
    const auto blocks = result.block_out_channels.size();
    if (blocks < 1 || blocks > 8)
        usage_error("{}: \"block_out_channels\" has {} entries, expected 1 to 8", config.file, blocks);
    check_block_types(config, "down_block_types", "DownEncoderBlock2D", blocks);
    check_block_types(config, "up_block_types", "UpDecoderBlock2D", blocks);
    result.layers_per_block = get_size(config, "layers_per_block", result.layers_per_block, kMaxDepth);
    result.resnet = {get_size(config, "norm_num_groups", 32), 1e-6F,
                     get_activation(config, "act_fn", "silu")};
    for (const auto channels : result.block_out_channels) {
        check_range(config, "block_out_channels", channels, 1, kMaxWidth);
        if (channels % result.resnet.groups != 0)
            usage_error("{}: \"block_out_channels\" has {}, which \"norm_num_groups\", {}, does not divide",
                        config.file, channels, result.resnet.groups);
    }
    result.use_quant_conv = get_flag(config, "use_quant_conv", true);
    result.use_post_quant_conv = get_flag(config, "use_post_quant_conv", true);
    result.mid_block_add_attention = get_flag(config, "mid_block_add_attention", true);
    result.scaling_factor = config.get_or("scaling_factor", result.scaling_factor);
    if (!(result.scaling_factor > 0))
        usage_error("{}: \"scaling_factor\" is {}, expected a positive number", config.file,
                    result.scaling_factor);
    result.shift_factor = config.find<float>("shift_factor");
    result.latents_mean = read_statistics(config, "latents_mean", result.latent_channels);
    result.latents_std = read_statistics(config, "latents_std", result.latent_channels);
    if (result.latents_mean.has_value() != result.latents_std.has_value())
        usage_error("{}: of \"latents_mean\" and \"latents_std\" only one is given", config.file);
    if (result.latents_std && std::any_of(result.latents_std->begin(), result.latents_std->end(),
                                          [](float value) { return !(value > 0); }))
        usage_error("{}: \"latents_std\" has an entry that is not positive", config.file);
    result.force_upcast = get_flag(config, "force_upcast", true);
    const auto sizes = get_sizes(config, "sample_size", 2, 32);
    result.sample_height = sizes[0];
    result.sample_width = sizes[1];
    return result;
}

graph::Graph build_autoencoder_kl_decoder(const AutoencoderKLConfig& config, const PictureShape& latents,
                                          DType precision, const WeightSource* weights) {
    check_shape("pictures", latents.batch, latents.height * config.scale(), latents.width * config.scale());
    Builder b("vae_decoder", precision, weights);
    const auto& channels = config.block_out_channels;

    Value x = b.real_input("latents", {latents.batch, config.latent_channels, latents.height, latents.width});
    if (config.use_post_quant_conv) x = b.conv2d(x, "post_quant_conv", config.latent_channels, 1);
    {
        const auto scope = b.module("decoder");
        x = b.conv2d(x, "conv_in", channels.back(), 3);
        x = nn::autoencoder_mid_block(b, "mid_block", x, config.resnet, config.mid_block_add_attention);
        for (std::size_t i = 0; i < channels.size(); ++i)
            x = nn::up_decoder_block(b, "up_blocks." + std::to_string(i), x,
                                     {channels[channels.size() - 1 - i], config.layers_per_block + 1,
                                      i + 1 < channels.size(), config.resnet});
        x = normed_output(b, x, config.out_channels, config.resnet);
    }
    b.output("image", b.convert(x, DType::f32));
    return b.finish({"encoder.*", "quant_conv.*"});
}

graph::Graph build_autoencoder_kl_encoder(const AutoencoderKLConfig& config, const PictureShape& image,
                                          DType precision, const WeightSource* weights) {
    check_shape("pictures", image.batch, image.height, image.width);
    Builder b("vae_encoder", precision, weights);
    const auto& channels = config.block_out_channels;

    Value x = b.real_input("image", {image.batch, config.in_channels, image.height, image.width});
    {
        const auto scope = b.module("encoder");
        x = b.conv2d(x, "conv_in", channels.front(), 3);
        for (std::size_t i = 0; i < channels.size(); ++i)
            x = nn::down_encoder_block(
                b, "down_blocks." + std::to_string(i), x,
                {channels[i], config.layers_per_block, i + 1 < channels.size(), config.resnet});
        x = nn::autoencoder_mid_block(b, "mid_block", x, config.resnet, config.mid_block_add_attention);
        x = normed_output(b, x, 2 * config.latent_channels, config.resnet);
    }
    if (config.use_quant_conv) x = b.conv2d(x, "quant_conv", 2 * config.latent_channels, 1);
    b.output("moments", b.convert(x, DType::f32));
    return b.finish({"decoder.*", "post_quant_conv.*"});
}

}  // namespace reprise::models
