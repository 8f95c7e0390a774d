// Every key that diffusers' UNet2DConditionModel registers, taken or refused. Taken without effect, as in
// diffusers with these block types: dropout, upcast_attention, resnet_skip_time_act,
// resnet_out_scale_factor, cross_attention_norm, mid_block_only_cross_attention,
// addition_embed_type_num_heads.
#include <algorithm>
#include <array>

#include "models/config_checks.h"
#include "models/unet2d_condition.h"
#include "reprise/error.h"

namespace reprise::models {

namespace {

constexpr auto kKeys = std::to_array<std::string_view>({
    "sample_size",
    "in_channels",
    "out_channels",
    "center_input_sample",
    "flip_sin_to_cos",
    "freq_shift",
    "down_block_types",
    "mid_block_type",
    "up_block_types",
    "only_cross_attention",
    "block_out_channels",
    "layers_per_block",
    "downsample_padding",
    "mid_block_scale_factor",
    "dropout",
    "act_fn",
    "norm_num_groups",
    "norm_eps",
    "cross_attention_dim",
    "transformer_layers_per_block",
    "reverse_transformer_layers_per_block",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "attention_head_dim",
    "num_attention_heads",
    "dual_cross_attention",
    "use_linear_projection",
    "class_embed_type",
    "addition_embed_type",
    "addition_time_embed_dim",
    "num_class_embeds",
    "upcast_attention",
    "resnet_time_scale_shift",
    "resnet_skip_time_act",
    "resnet_out_scale_factor",
    "time_embedding_type",
    "time_embedding_dim",
    "time_embedding_act_fn",
    "timestep_post_act",
    "time_cond_proj_dim",
    "conv_in_kernel",
    "conv_out_kernel",
    "projection_class_embeddings_input_dim",
    "attention_type",
    "class_embeddings_concat",
    "mid_block_only_cross_attention",
    "cross_attention_norm",
    "addition_embed_type_num_heads",
});

void refuse_what_is_not_supported(const Config& config) {
    for (const auto key : {"encoder_hid_dim", "encoder_hid_dim_type", "num_attention_heads",
                           "class_embed_type", "num_class_embeds", "time_cond_proj_dim"})
        support_only(config, key, nullptr);
    for (const auto key : {"dual_cross_attention", "class_embeddings_concat"})
        support_only(config, key, false);
    support_one_of(config, "attention_type", {"default", nullptr});
    support_only(config, "time_embedding_type", "positional");
    check_dropout(config, "dropout");
}

/// Reads what each block is made of.
class Blocks {
  public:
    explicit Blocks(const Config& config) : config_(config) {
        down_types_ =
            types("down_block_types", "Down",
                  {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"});
        up_types_ = types("up_block_types", "Up",
                          {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"});
        if (up_types_.size() != count())
            usage_error("{}: \"up_block_types\" has {} blocks, \"down_block_types\" {}", config.file,
                        up_types_.size(), count());
        channels_ = config.get_or("block_out_channels", std::vector<std::int64_t>{320, 640, 1280, 1280});
        if (channels_.size() != count())
            usage_error("{}: \"block_out_channels\" has {} entries, \"down_block_types\" {}", config.file,
                        channels_.size(), count());
        const auto groups = get_size(config, "norm_num_groups", 32);
        for (const auto channels : channels_) {
            check_range(config, "block_out_channels", channels, 1, kMaxWidth);
            if (channels % groups != 0)
                usage_error(
                    "{}: \"block_out_channels\" has {}, which \"norm_num_groups\", {}, does not divide",
                    config.file, channels, groups);
        }
        layers_ = get_sizes(config, "layers_per_block", count(), 2, kMaxDepth);
        heads_ = get_sizes(config, "attention_head_dim", count(), 8);
        only_cross_ = flags("only_cross_attention");
        read_transformer_layers();
    }

    std::size_t count() const { return down_types_.size(); }
    std::int64_t first_channels() const { return channels_.front(); }

    /// The text's width, the same for all blocks that read it.
    std::int64_t text_width() const {
        const auto widths = get_sizes(config_, "cross_attention_dim", count(), 1280);
        std::optional<std::int64_t> width;
        const auto use = [&](std::int64_t other) {
            if (width.value_or(other) != other)
                usage_error("{}: \"cross_attention_dim\" gives {} and {} to blocks that read one text",
                            config_.file, *width, other);
            width = other;
        };
        for (std::size_t i = 0; i < count(); ++i) {
            if (down_types_[i]) use(widths[i]);
            if (up_types_[i]) use(widths[count() - 1 - i]);
        }
        if (mid_is_cross_attention()) use(widths.back());
        return width.value_or(widths.front());
    }

    std::vector<nn::UNetBlock> down(const nn::ResnetBlock2D& resnet) const {
        const auto padding = config_.get_or<std::int64_t>("downsample_padding", 1);
        check_range(config_, "downsample_padding", padding, 0, 1);
        std::vector<nn::UNetBlock> result;
        for (std::size_t i = 0; i < count(); ++i) {
            nn::UNetBlock block = {channels_[i], layers_[i], i + 1 < count(), padding, resnet, {}};
            if (down_types_[i]) add_transformers(block, i, transformer_layers_[i], kDownKey);
            result.push_back(std::move(block));
        }
        return result;
    }

    std::vector<nn::UNetBlock> up(const nn::ResnetBlock2D& resnet) const {
        std::vector<nn::UNetBlock> result;
        for (std::size_t i = 0; i < count(); ++i) {
            const std::size_t mirrored = count() - 1 - i;
            nn::UNetBlock block = {channels_[mirrored], layers_[mirrored] + 1, mirrored > 0, 1, resnet, {}};
            if (up_types_[i])
                add_transformers(block, mirrored, reversed_layers_[i],
                                 config_.has(kUpKey) ? kUpKey : kDownKey);
            result.push_back(std::move(block));
        }
        return result;
    }

    bool has_mid() const { return !config_.is_null("mid_block_type"); }
    std::optional<nn::Transformer2D> mid_transformer() const {
        if (!mid_is_cross_attention()) return std::nullopt;
        nn::UNetBlock block = {channels_.back(), 1, false, 1, {}, {}};
        add_transformers(block, count() - 1, transformer_layers_.back(), kDownKey);
        block.transformers[0].only_cross_attention = false;  // diffusers does not pass it on
        return block.transformers[0];
    }

  private:
    static constexpr std::string_view kDownKey = "transformer_layers_per_block";
    static constexpr std::string_view kUpKey = "reverse_transformer_layers_per_block";

    /// For each block whether it has cross attention.
    std::vector<bool> types(std::string_view key, std::string_view direction,
                            std::vector<std::string> otherwise) const {
        std::vector<bool> result;
        const auto names = config_.get_or<std::vector<std::string>>(key, otherwise);
        check_range(config_, key, static_cast<std::int64_t>(names.size()), 1, 8);
        const std::string plain = fmt::format("{}Block2D", direction);
        const std::string cross = fmt::format("CrossAttn{}Block2D", direction);
        for (std::string_view name : names) {
            if (name.starts_with("UNetRes")) name.remove_prefix(7);  // an old name of the same class
            if (name != plain && name != cross) unsupported(config_, key, plain + ", " + cross);
            result.push_back(name == cross);
        }
        return result;
    }

    std::vector<bool> flags(std::string_view key) const {
        const auto found = config_.json.find(key);
        if (found == config_.json.end()) return std::vector<bool>(count(), false);
        if (found->is_boolean()) return std::vector<bool>(count(), config_.require<bool>(key));
        auto result = config_.require<std::vector<bool>>(key);
        if (result.size() != count())
            usage_error("{}: \"{}\" has {} entries, \"down_block_types\" {}", config_.file, key,
                        result.size(), count());
        return result;
    }

    bool mid_is_cross_attention() const {
        if (!has_mid()) return false;
        const std::string type = config_.get_or("mid_block_type", "UNetMidBlock2DCrossAttn");
        if (type != "UNetMidBlock2DCrossAttn" && type != "UNetMidBlock2D")
            unsupported(config_, "mid_block_type", "UNetMidBlock2DCrossAttn, UNetMidBlock2D, null");
        return type == "UNetMidBlock2DCrossAttn";
    }

    /// One entry per block: a number for all its transformers, or a list with a number for each.
    std::vector<Json> per_block(std::string_view key) const {
        const Json value = contains(config_.json, key) ? config_.require<Json>(key) : Json(1);
        if (!value.is_array() && key == kUpKey) unsupported(config_, key, "a list, null");
        if (!value.is_array()) return std::vector<Json>(count(), value);
        if (value.size() != count())
            usage_error("{}: \"{}\" has {} entries, \"down_block_types\" {}", config_.file, key, value.size(),
                        count());
        return value.get<std::vector<Json>>();
    }

    void read_transformer_layers() {
        transformer_layers_ = per_block(kDownKey);
        if (config_.has(kUpKey)) {
            reversed_layers_ = per_block(kUpKey);
            return;
        }
        reversed_layers_.assign(transformer_layers_.rbegin(), transformer_layers_.rend());
        for (const auto& layers : transformer_layers_)
            if (layers.is_array())
                usage_error("{}: \"{}\" has lists inside, so \"{}\" must say what the up blocks have",
                            config_.file, kDownKey, kUpKey);
    }

    /// A transformer for each of the block's resnets; `i` is the down block at its resolution.
    void add_transformers(nn::UNetBlock& block, std::size_t i, const Json& layers,
                          std::string_view key) const {
        const auto channels = block.out_channels;
        if (heads_[i] > channels)
            usage_error("{}: \"attention_head_dim\" (a number of heads) is {} for {} channels", config_.file,
                        heads_[i], channels);
        for (std::size_t r = 0; r < static_cast<std::size_t>(block.layers); ++r) {
            const bool has_entry = !layers.is_array() || r < layers.size();
            const Json& entry = layers.is_array() && has_entry ? layers[r] : layers;
            if (!has_entry || !entry.is_number_integer())
                usage_error("{}: \"{}\" must give an integer for each of {} transformers, found {}",
                            config_.file, key, block.layers, layers.dump());
            const auto depth = entry.get<std::int64_t>();
            check_range(config_, key, depth, 0, kMaxDepth);
            block.transformers.push_back({heads_[i], channels / heads_[i], depth,
                                          get_size(config_, "norm_num_groups", 32), only_cross_[i]});
        }
    }

    const Config& config_;
    std::vector<bool> down_types_, up_types_, only_cross_;
    std::vector<std::int64_t> channels_, layers_, heads_;
    std::vector<Json> transformer_layers_, reversed_layers_;
};

nn::ResnetBlock2D read_resnet(const Config& config) {
    nn::ResnetBlock2D resnet;
    resnet.groups = get_size(config, "norm_num_groups", 32);
    resnet.epsilon = config.get_or<float>("norm_eps", 1e-5F);
    resnet.activation = get_activation(config, "act_fn", "silu");
    const std::string shift = config.get_or("resnet_time_scale_shift", "default");
    if (shift != "default" && shift != "scale_shift")
        unsupported(config, "resnet_time_scale_shift", "default, scale_shift");
    resnet.scale_shift = shift == "scale_shift";
    return resnet;
}

std::int64_t read_kernel(const Config& config, std::string_view key) {
    const auto kernel = get_size(config, key, 3, 63);
    if (kernel % 2 == 0) unsupported(config, key, "odd sizes");
    return kernel;
}

SinusoidalEmbedding read_sinusoidal(const Config& config, std::string_view key, std::int64_t width) {
    const SinusoidalEmbedding result = {width, get_flag(config, "flip_sin_to_cos", true),
                                        config.get_or<float>("freq_shift", 0)};
    if (result.freq_shift == static_cast<float>(width / 2))
        usage_error("{}: \"freq_shift\" is {}, half of \"{}\": a division by zero", config.file,
                    result.freq_shift, key);
    return result;
}

std::optional<UNet2DConditionConfig::TextTime> read_text_time(const Config& config) {
    if (!config.has("addition_embed_type")) return std::nullopt;
    if (config.require<std::string>("addition_embed_type") != "text_time")
        unsupported(config, "addition_embed_type", "text_time, null");
    const auto width = config.require<std::int64_t>("addition_time_embed_dim");
    check_range(config, "addition_time_embed_dim", width, 1, kMaxWidth);
    const auto total = config.require<std::int64_t>("projection_class_embeddings_input_dim");
    const auto ids = config.get_or<std::int64_t>(kNumTimeIds, kSizeAndCropIds);
    check_range(config, "projection_class_embeddings_input_dim", total, ids * width + 1, 8 * kMaxWidth);
    return UNet2DConditionConfig::TextTime{total - ids * width,
                                           read_sinusoidal(config, "addition_time_embed_dim", width), ids};
}

/// Each layer is within bounds, but all together could still fill the memory.
void check_size(const UNet2DConditionConfig& unet, const Config& config) {
    constexpr std::int64_t kMaxTransformerBlocks = 2048;
    std::int64_t total = unet.mid_transformer ? unet.mid_transformer->layers : 0;
    for (const auto* blocks : {&unet.down_blocks, &unet.up_blocks})
        for (const auto& block : *blocks)
            for (const auto& transformer : block.transformers) total += transformer.layers;
    if (total > kMaxTransformerBlocks)
        usage_error("{}: \"transformer_layers_per_block\" makes {} blocks, expected {} at most", config.file,
                    total, kMaxTransformerBlocks);
}

}  // namespace

UNet2DConditionConfig UNet2DConditionConfig::from(const Config& config) {
    warn_of_unknown_keys(config, kKeys);
    refuse_what_is_not_supported(config);
    const Blocks blocks(config);

    UNet2DConditionConfig result;
    result.in_channels = get_size(config, "in_channels", 4);
    result.out_channels = get_size(config, "out_channels", 4);
    if (config.has("sample_size")) {
        const auto sizes = get_sizes(config, "sample_size", 2, 0);
        result.sample_height = sizes[0];
        result.sample_width = sizes[1];
    }
    result.center_input_sample = get_flag(config, "center_input_sample", false);
    result.conv_in_kernel = read_kernel(config, "conv_in_kernel");
    result.conv_out_kernel = read_kernel(config, "conv_out_kernel");
    result.timestep = read_sinusoidal(config, "block_out_channels", blocks.first_channels());
    result.resnet = read_resnet(config);
    const auto time_width = config.has("time_embedding_dim") ? get_size(config, "time_embedding_dim", 0)
                                                             : 4 * blocks.first_channels();
    result.time_embedding = {time_width, result.resnet.activation, {}};
    if (config.has("timestep_post_act"))
        result.time_embedding.post_activation = get_activation(config, "timestep_post_act", "");
    if (config.has("time_embedding_act_fn"))
        result.time_embedding_activation = get_activation(config, "time_embedding_act_fn", "");
    result.text_time = read_text_time(config);
    result.text_width = blocks.text_width();
    result.mid_resnet = result.resnet;
    result.mid_resnet.output_scale_factor = config.get_or<float>("mid_block_scale_factor", 1);
    if (result.mid_resnet.output_scale_factor == 0)
        usage_error("{}: \"mid_block_scale_factor\" is 0, a divisor", config.file);
    result.has_mid_block = blocks.has_mid();
    result.mid_transformer = blocks.mid_transformer();
    result.down_blocks = blocks.down(result.resnet);
    result.up_blocks = blocks.up(result.resnet);
    check_size(result, config);
    return result;
}

}  // namespace reprise::models
