#include "models/pixart_transformer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "models/config_checks.h"
#include "nn/adaptive_norm.h"
#include "nn/embeddings.h"
#include "nn/patches.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Builder;
using graph::Unary;
using graph::Value;

namespace {

/// Taken without effect, as in diffusers: dropout, norm_num_groups, upcast_attention, and the last four,
/// which old files have under the class's old name, Transformer2DModel.
constexpr auto kKeys = std::to_array<std::string_view>({
    "num_attention_heads",
    "attention_head_dim",
    "in_channels",
    "out_channels",
    "num_layers",
    "dropout",
    "norm_num_groups",
    "cross_attention_dim",
    "attention_bias",
    "sample_size",
    "patch_size",
    "activation_fn",
    "num_embeds_ada_norm",
    "upcast_attention",
    "norm_type",
    "norm_elementwise_affine",
    "norm_eps",
    "interpolation_scale",
    "use_additional_conditions",
    "caption_channels",
    "attention_type",
    "only_cross_attention",
    "double_self_attention",
    "use_linear_projection",
    "num_vector_embeds",
});

/// Added to the scores of padding, as diffusers' mask makes it.
constexpr float kMasked = 10000;

nn::FeedForwardActivation read_activation(const Config& config) {
    constexpr std::array<std::pair<std::string_view, nn::FeedForwardActivation>, 3> kActivations = {{
        {"gelu-approximate", nn::FeedForwardActivation::gelu_approximate},
        {"gelu", nn::FeedForwardActivation::gelu},
        {"geglu", nn::FeedForwardActivation::geglu},
    }};
    const std::string name = config.get_or("activation_fn", "gelu-approximate");
    for (const auto& [known, activation] : kActivations)
        if (name == known) return activation;
    unsupported(config, "activation_fn", "gelu-approximate, gelu, geglu");
}

double read_interpolation_scale(const Config& config, std::int64_t sample_size) {
    const double scale = config.find<double>("interpolation_scale")
                             .value_or(static_cast<double>(std::max<std::int64_t>(sample_size / 64, 1)));
    if (!(scale > 0))
        usage_error("{}: \"interpolation_scale\" is {}, expected more than 0", config.file, scale);
    return scale;
}

/// Positions 0, 1, ... of `count`, brought to the range of `base`.
std::vector<float> grid(std::int64_t count, std::int64_t base, double interpolation_scale) {
    std::vector<float> result;
    const auto step = static_cast<float>(static_cast<double>(count) / static_cast<double>(base));
    for (std::int64_t i = 0; i < count; ++i)
        result.push_back(static_cast<float>(i) / step / static_cast<float>(interpolation_scale));
    return result;
}

/// Sines and then cosines of one position, `width` in all.
float* write_sinusoids(float* out, float position, std::int64_t width) {
    const auto half = width / 2;
    for (std::int64_t i = 0; i < half; ++i) {
        const double frequency =
            1.0 / std::pow(10000.0, static_cast<double>(i) / (static_cast<double>(width) / 2.0));
        const double angle = static_cast<double>(position) * frequency;
        out[i] = static_cast<float>(std::sin(angle));
        out[half + i] = static_cast<float>(std::cos(angle));
    }
    return out + width;
}

constexpr const char *kResolution = "resolution_embedding", *kAspectRatio = "aspect_ratio_embedding";

std::vector<graph::InputAttrs> inputs_of(const PixArtTransformerConfig& config, const DenoiserShape& shape) {
    const auto batch = shape.batch;
    const auto width = config.embedding.width;
    std::vector<graph::InputAttrs> inputs = {
        latents_input({batch, config.in_channels, shape.height, shape.width}), timestep_input(width),
        fixed_input(kText, {batch, shape.text_tokens, config.text_width()}),
        fixed_input(kTextMask, {batch, shape.text_tokens})};
    if (!config.use_additional_conditions) return inputs;
    inputs.push_back(fixed_input(kResolution, {batch, 2, width}));
    inputs.push_back(fixed_input(kAspectRatio, {batch, width}));
    return inputs;
}

using Inputs = std::map<std::string, Value, std::less<>>;

/// The embedding (B or 1, C) of the timestep and, where the model has them, of the sizes.
Value embedded_conditions(Builder& b, const Inputs& in, const PixArtTransformerConfig& config) {
    const auto scope = b.module("emb");
    const auto width = config.width();
    const Value time =
        nn::timestep_embedding(b, "timestep_embedder", in.at("timestep_embedding"), {width, Unary::silu, {}});
    if (!config.use_additional_conditions) return time;
    const nn::TimestepEmbedding layers = {width / 3, Unary::silu, {}};
    const Value resolution = nn::timestep_embedding(b, "resolution_embedder", in.at(kResolution), layers);
    const Value ratio = nn::timestep_embedding(b, "aspect_ratio_embedder", in.at(kAspectRatio), layers);
    const auto batch = resolution.dim(0);
    return time + b.concat({b.reshape(resolution, {batch, 2 * layers.width}), ratio}, 1);
}

Value text_of(Builder& b, Value text, const PixArtTransformerConfig& config) {
    if (!config.caption_channels) return text;
    const auto scope = b.module("caption_projection");
    text = b.unary(b.linear(text, "linear_1", config.width()), Unary::gelu_tanh);
    return b.linear(text, "linear_2", config.width());
}

void check_latents(const PixArtTransformerConfig& config, const DenoiserShape& shape) {
    check_shape("latents", shape.batch, shape.height, shape.width);
    check_shape("text", shape.batch, 1, shape.text_tokens);
    if (shape.height % config.patch_size != 0 || shape.width % config.patch_size != 0)
        usage_error("latents of {} x {} do not divide into patches of {} x {}", shape.height, shape.width,
                    config.patch_size, config.patch_size);
}

class PixArtTransformer final : public Denoiser {
  public:
    explicit PixArtTransformer(const PixArtTransformerConfig& config) : config_(config) {}

    DenoiserTraits traits() const override {
        DenoiserTraits traits;
        traits.in_channels = config_.in_channels;
        traits.out_channels = config_.predicted_channels();
        traits.sample_height = config_.sample_size;
        traits.sample_width = config_.sample_size;
        traits.time_ids = config_.use_additional_conditions ? kSizeAndRatioIds : 0;
        traits.patch_size = config_.patch_size;
        return traits;
    }
    std::vector<graph::InputAttrs> inputs(const DenoiserShape& shape) const override {
        return inputs_of(config_, shape);
    }
    graph::Graph build(const DenoiserShape& shape, DType precision,
                       const WeightSource* weights) const override {
        return build_pixart_transformer(config_, shape, precision, weights);
    }
    NamedTensors fixed_inputs(const Conditioning& conditioning) const override {
        NamedTensors result = {{kText, given(conditioning, kText)},
                               {kTextMask, given(conditioning, kTextMask)}};
        if (!config_.use_additional_conditions) return result;
        const auto batch = given(conditioning, kTimeIds).dim(0);
        const auto ids = given(conditioning, kTimeIds).span<float>();
        std::vector<float> sizes, ratios;
        for (std::size_t i = 0; i < ids.size(); ++i)
            (i % kSizeAndRatioIds == 2 ? ratios : sizes).push_back(ids[i]);
        result[kResolution] =
            sinusoidal_embedding(sizes, config_.embedding).reshaped({batch, 2, config_.embedding.width});
        result[kAspectRatio] = sinusoidal_embedding(ratios, config_.embedding);
        return result;
    }
    std::vector<Tensor> step_inputs(const Tensor& sample, float timestep) const override {
        return {sample, timestep_embedding(timestep, config_.embedding)};
    }

  private:
    PixArtTransformerConfig config_;
};

}  // namespace

PixArtTransformerConfig PixArtTransformerConfig::from(const Config& config) {
    warn_of_unknown_keys(config, kKeys);
    support_only(config, "norm_type", "ada_norm_single");
    support_one_of(config, "attention_type", {"default", nullptr});
    check_dropout(config, "dropout");
    if (config.is_null("num_embeds_ada_norm")) unsupported(config, "num_embeds_ada_norm", "a number");

    PixArtTransformerConfig result;
    result.sample_size = get_size(config, "sample_size", result.sample_size, kMaxSide);
    result.patch_size = get_size(config, "patch_size", result.patch_size, 64);
    if (result.sample_size < result.patch_size)
        usage_error("{}: \"sample_size\" is {}, less than \"patch_size\", {}", config.file,
                    result.sample_size, result.patch_size);
    result.in_channels = get_size(config, "in_channels", result.in_channels);
    result.out_channels = config.is_null("out_channels")
                              ? result.in_channels
                              : get_size(config, "out_channels", result.out_channels);
    result.num_layers = get_size(config, "num_layers", result.num_layers, kMaxDepth);
    result.interpolation_scale = read_interpolation_scale(config, result.sample_size);

    result.block.heads = get_size(config, "num_attention_heads", result.block.heads);
    result.block.head_width = get_size(config, "attention_head_dim", result.block.head_width);
    result.block.attention_bias = get_flag(config, "attention_bias", true);
    result.block.activation = read_activation(config);
    result.block.norm_affine = get_flag(config, "norm_elementwise_affine", false);
    result.block.norm_epsilon = config.get_or("norm_eps", result.block.norm_epsilon);
    if (result.width() > kMaxWidth || result.width() % 4 != 0)
        usage_error(
            "{}: \"num_attention_heads\" times \"attention_head_dim\" is {}, expected a multiple of 4 up to "
            "{}",
            config.file, result.width(), kMaxWidth);

    result.use_additional_conditions =
        config.find<bool>("use_additional_conditions").value_or(result.sample_size == 128);
    if (result.use_additional_conditions && result.width() % 3 != 0)
        usage_error(
            "{}: \"use_additional_conditions\" divides the width by three, but \"num_attention_heads\" times "
            "\"attention_head_dim\" is {}",
            config.file, result.width());
    result.cross_attention_dim = get_size(config, "cross_attention_dim", result.cross_attention_dim);
    if (config.has("caption_channels")) {
        result.caption_channels = get_size(config, "caption_channels", 1);
        if (result.cross_attention_dim != result.width())
            usage_error(
                "{}: \"cross_attention_dim\" is {}, but the text is projected to {}, \"num_attention_heads\" "
                "times \"attention_head_dim\"",
                config.file, result.cross_attention_dim, result.width());
    }
    return result;
}

Tensor pixart_positions(const PixArtTransformerConfig& config, std::int64_t rows, std::int64_t columns) {
    const auto width = config.width();
    const auto base = config.sample_size / config.patch_size;
    Tensor result(DType::f32, {1, rows * columns, width});
    float* out = result.span<float>().data();
    const auto across = grid(columns, base, config.interpolation_scale);
    for (const float y : grid(rows, base, config.interpolation_scale))
        for (const float x : across) out = write_sinusoids(write_sinusoids(out, x, width / 2), y, width / 2);
    return result;
}

graph::Graph build_pixart_transformer(const PixArtTransformerConfig& config, const DenoiserShape& shape,
                                      DType precision, const WeightSource* weights) {
    check_latents(config, shape);
    Builder b("transformer", precision, weights);
    const auto width = config.width();
    const auto side = config.patch_size;
    const auto rows = shape.height / side;
    const auto columns = shape.width / side;
    const Inputs in = b.real_inputs(inputs_of(config, shape));

    Value x;
    {
        const auto scope = b.module("pos_embed");
        x = nn::picture_to_patches(b, "proj", in.at("sample"), side, width) +
            b.constant("positions", pixart_positions(config, rows, columns));
    }
    Value embedded, modulation;
    {
        const auto scope = b.module("adaln_single");
        embedded = embedded_conditions(b, in, config);
        modulation = b.linear(b.silu(embedded), "linear", 6 * width);
        modulation = b.reshape(modulation, {embedded.dim(0), 6, width});
    }
    const Value bias =
        b.reshape(b.affine(in.at(kTextMask), kMasked, -kMasked), {shape.batch, 1, 1, shape.text_tokens});
    const nn::PixArtConditions conditions = {modulation, text_of(b, in.at(kText), config), bias};
    for (std::int64_t i = 0; i < config.num_layers; ++i)
        x = nn::pixart_block(b, "transformer_blocks." + std::to_string(i), x, conditions, config.block);

    const Value table = b.reshape(b.weight("scale_shift_table", {2, width}), {1, 2, width});
    const auto last = b.split(table + b.reshape(embedded, {embedded.dim(0), 1, width}), 2, 1);
    x = nn::modulated(b.layer_norm(x, "norm_out", nn::kAdaptiveNormEpsilon, false), last[1], last[0]);
    x = b.linear(x, "proj_out", side * side * config.out_channels);
    x = nn::patches_to_picture(b, x, rows, columns, side);
    if (config.predicted_channels() != config.out_channels) x = b.slice(x, 1, 0, config.predicted_channels());
    b.output("sample", b.convert(x, DType::f32));
    return b.finish(
        {"pos_embed.pos_embed"});  // old releases stored the table of positions, which is computed
}

std::unique_ptr<Denoiser> make_pixart_transformer(const Config& config) {
    return std::make_unique<PixArtTransformer>(PixArtTransformerConfig::from(config));
}

}  // namespace reprise::models
