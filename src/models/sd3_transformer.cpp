#include "models/sd3_transformer.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "models/config_checks.h"
#include "nn/adaptive_norm.h"
#include "nn/embeddings.h"
#include "nn/patches.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Builder;
using graph::Value;

namespace {

constexpr auto kKeys = std::to_array<std::string_view>({
    "sample_size",
    "patch_size",
    "in_channels",
    "num_layers",
    "attention_head_dim",
    "num_attention_heads",
    "joint_attention_dim",
    "caption_projection_dim",
    "pooled_projection_dim",
    "out_channels",
    "pos_embed_max_size",
    "dual_attention_layers",
    "qk_norm",
});

nn::QkNorm read_qk_norm(const Config& config) {
    if (!config.has("qk_norm")) return nn::QkNorm::none;
    constexpr std::array<std::pair<std::string_view, nn::QkNorm>, 3> kNorms = {{
        {"rms_norm", nn::QkNorm::rms_norm},
        {"layer_norm", nn::QkNorm::layer_norm},
        {"fp32_layer_norm", nn::QkNorm::fp32_layer_norm},
    }};
    const auto name = config.require<std::string>("qk_norm");
    for (const auto& [known, norm] : kNorms)
        if (name == known) return norm;
    unsupported(config, "qk_norm", "rms_norm, layer_norm, fp32_layer_norm, null");
}

/// Whether each of `count` layers has the second attention. Indices of layers that are not there mean
/// nothing, as in diffusers.
std::vector<bool> read_dual_attention(const Config& config, std::int64_t count) {
    const auto layers = config.get_or("dual_attention_layers", std::vector<std::int64_t>{});
    std::vector<bool> result;
    for (std::int64_t i = 0; i < count; ++i)
        result.push_back(std::find(layers.begin(), layers.end(), i) != layers.end());
    return result;
}

/// The picture as patches (B, H/p * W/p, width), each with the embedding of its place.
Value patch_embedding(Builder& b, Value x, const Sd3TransformerConfig& config) {
    const auto scope = b.module("pos_embed");
    const auto side = config.patch_size;
    const auto rows = x.dim(2) / side;
    const auto columns = x.dim(3) / side;
    x = nn::picture_to_patches(b, "proj", x, side, config.width());

    const auto most = config.pos_embed_max_size;
    const auto top = (most - rows) / 2;
    const auto left = (most - columns) / 2;
    Value positions = b.weight("pos_embed", {1, most * most, config.width()});
    positions = b.reshape(positions, {most, most, config.width()});
    positions = b.slice(b.slice(positions, 0, top, top + rows), 1, left, left + columns);
    return x + b.reshape(positions, {1, rows * columns, config.width()});
}

void check_latents(const Sd3TransformerConfig& config, const DenoiserShape& shape) {
    check_shape("latents", shape.batch, shape.height, shape.width);
    check_shape("text", shape.batch, 1, shape.text_tokens);
    if (shape.height % config.patch_size != 0 || shape.width % config.patch_size != 0)
        usage_error("latents of {} x {} do not divide into patches of {} x {}", shape.height, shape.width,
                    config.patch_size, config.patch_size);
    const auto most = config.pos_embed_max_size * config.patch_size;
    if (shape.height > most || shape.width > most)
        usage_error("latents of {} x {} are larger than the {} x {} that the model has positions for",
                    shape.height, shape.width, most, most);
}

std::vector<graph::InputAttrs> inputs_of(const Sd3TransformerConfig& config, const DenoiserShape& shape) {
    return {latents_input({shape.batch, config.in_channels, shape.height, shape.width}),
            timestep_input(config.timestep.width),
            fixed_input(kText, {shape.batch, shape.text_tokens, config.joint_attention_dim}),
            fixed_input(kPooledText, {shape.batch, config.pooled_projection_dim})};
}

class Sd3Transformer final : public Denoiser {
  public:
    explicit Sd3Transformer(Sd3TransformerConfig config) : config_(std::move(config)) {}

    DenoiserTraits traits() const override {
        DenoiserTraits traits;
        traits.in_channels = config_.in_channels;
        traits.out_channels = config_.out_channels;
        traits.sample_height = config_.sample_size;
        traits.sample_width = config_.sample_size;
        traits.patch_size = config_.patch_size;
        traits.max_side = config_.pos_embed_max_size * config_.patch_size;
        return traits;
    }
    std::vector<graph::InputAttrs> inputs(const DenoiserShape& shape) const override {
        return inputs_of(config_, shape);
    }
    graph::Graph build(const DenoiserShape& shape, DType precision,
                       const WeightSource* weights) const override {
        return build_sd3_transformer(config_, shape, precision, weights);
    }
    NamedTensors fixed_inputs(const Conditioning& conditioning) const override {
        return {{kText, given(conditioning, kText)}, {kPooledText, given(conditioning, kPooledText)}};
    }
    std::vector<Tensor> step_inputs(const Tensor& sample, float timestep) const override {
        return {sample, timestep_embedding(timestep, config_.timestep)};
    }

  private:
    Sd3TransformerConfig config_;
};

}  // namespace

Sd3TransformerConfig Sd3TransformerConfig::from(const Config& config) {
    warn_of_unknown_keys(config, kKeys);
    Sd3TransformerConfig result;
    result.sample_size = get_size(config, "sample_size", result.sample_size, kMaxSide);
    result.patch_size = get_size(config, "patch_size", result.patch_size, 64);
    result.in_channels = get_size(config, "in_channels", result.in_channels);
    result.out_channels = config.is_null("out_channels")
                              ? result.in_channels
                              : get_size(config, "out_channels", result.out_channels);
    result.joint_attention_dim = get_size(config, "joint_attention_dim", result.joint_attention_dim);
    result.pooled_projection_dim = get_size(config, "pooled_projection_dim", result.pooled_projection_dim);
    result.pos_embed_max_size = get_size(config, "pos_embed_max_size", result.pos_embed_max_size, 4096);

    nn::JointTransformerBlock block;
    block.heads = get_size(config, "num_attention_heads", 18);
    block.head_width = get_size(config, "attention_head_dim", 64);
    block.qk_norm = read_qk_norm(config);
    const auto width = block.heads * block.head_width;
    if (width > kMaxWidth)
        usage_error("{}: \"num_attention_heads\" times \"attention_head_dim\" is {}, expected {} at most",
                    config.file, width, kMaxWidth);
    const auto projected = get_size(config, "caption_projection_dim", 1152);
    if (projected != width)
        usage_error(
            "{}: \"caption_projection_dim\" is {}, but \"num_attention_heads\" times \"attention_head_dim\", "
            "which the blocks join it with, is {}",
            config.file, projected, width);
    const auto layers = get_size(config, "num_layers", 18, kMaxDepth);
    const auto dual = read_dual_attention(config, layers);
    for (std::int64_t i = 0; i < layers; ++i) {
        block.context_pre_only = i + 1 == layers;
        block.dual_attention = dual[static_cast<std::size_t>(i)];
        result.blocks.push_back(block);
    }
    return result;
}

graph::Graph build_sd3_transformer(const Sd3TransformerConfig& config, const DenoiserShape& shape,
                                   DType precision, const WeightSource* weights) {
    check_latents(config, shape);
    Builder b("transformer", precision, weights);
    const auto width = config.width();

    const auto in = b.real_inputs(inputs_of(config, shape));

    nn::JointStreams streams;
    streams.hidden_states = patch_embedding(b, in.at("sample"), config);
    Value condition;
    {
        const auto scope = b.module("time_text_embed");
        const nn::TimestepEmbedding layers = {width, graph::Unary::silu, {}};
        condition = nn::timestep_embedding(b, "timestep_embedder", in.at("timestep_embedding"), layers) +
                    nn::timestep_embedding(b, "text_embedder", in.at(kPooledText), layers);
    }
    condition = b.silu(condition);  // each norm's first step
    streams.encoder_hidden_states = b.linear(in.at(kText), "context_embedder", width);

    for (std::size_t i = 0; i < config.blocks.size(); ++i)
        streams = nn::joint_transformer_block(b, "transformer_blocks." + std::to_string(i), streams,
                                              condition, config.blocks[i]);

    Value x = nn::ada_layer_norm_continuous(b, "norm_out", streams.hidden_states, condition);
    x = b.linear(x, "proj_out", config.patch_size * config.patch_size * config.out_channels);
    x = nn::patches_to_picture(b, x, shape.height / config.patch_size, shape.width / config.patch_size,
                               config.patch_size);
    b.output("sample", b.convert(x, DType::f32));
    return b.finish();
}

std::unique_ptr<Denoiser> make_sd3_transformer(const Config& config) {
    return std::make_unique<Sd3Transformer>(Sd3TransformerConfig::from(config));
}

}  // namespace reprise::models
