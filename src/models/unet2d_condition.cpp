#include "models/unet2d_condition.h"

#include <string>
#include <utility>

#include "models/config_checks.h"

namespace reprise::models {

using graph::Builder;
using graph::Value;

namespace {

std::string numbered(const char* list, std::size_t i) {
    return list + std::to_string(i);
}

Value same_convolution(Builder& b, Value x, std::string_view name, std::int64_t channels,
                       std::int64_t kernel) {
    return b.conv2d(x, name, channels, kernel, 1, (kernel - 1) / 2);
}

class UNet2DCondition final : public Denoiser {
  public:
    explicit UNet2DCondition(UNet2DConditionConfig config) : config_(std::move(config)) {}

    DenoiserTraits traits() const override {
        DenoiserTraits traits;
        traits.in_channels = config_.in_channels;
        traits.out_channels = config_.out_channels;
        traits.sample_height = config_.sample_height;
        traits.sample_width = config_.sample_width;
        traits.text_width = config_.text_width;
        if (config_.text_time) {
            traits.pooled_width = config_.text_time->pooled_width;
            traits.time_ids = kSizeAndCropIds;
        }
        return traits;
    }
    graph::Graph build(const DenoiserShape& shape, DType precision,
                       const WeightSource* weights) const override {
        return build_unet2d_condition(config_, shape, precision, weights);
    }
    std::vector<Tensor> inputs(const Tensor& sample, float timestep,
                               const Conditioning& conditioning) const override {
        std::vector<Tensor> result = {sample, timestep_embedding(timestep, config_.timestep),
                                      conditioning.encoder_hidden_states};
        if (config_.text_time) {
            const auto& ids = conditioning.time_ids;
            result.push_back(conditioning.text_embeds);
            result.push_back(sinusoidal_embedding(ids.span<float>(), config_.text_time->ids)
                                 .reshaped({ids.dim(0), ids.dim(1) * config_.text_time->ids.width}));
        }
        return result;
    }

  private:
    UNet2DConditionConfig config_;
};

}  // namespace

graph::Graph build_unet2d_condition(const UNet2DConditionConfig& config, const DenoiserShape& shape,
                                    DType precision, const WeightSource* weights) {
    check_shape("latents", shape.batch, shape.height, shape.width);
    check_shape("text", shape.batch, 1, shape.text_tokens);
    Builder b("unet", precision, weights);

    Value x = b.real_input("sample", {shape.batch, config.in_channels, shape.height, shape.width});
    Value time = b.real_input("timestep_embedding", {1, config.timestep.width});
    const Value text =
        b.real_input("encoder_hidden_states", {shape.batch, shape.text_tokens, config.text_width});

    if (config.center_input_sample) x = b.affine(x, 2, -1);
    time = nn::timestep_embedding(b, "time_embedding", time, config.time_embedding);
    if (config.text_time) {
        const auto& added = *config.text_time;
        const Value pooled = b.real_input("text_embeds", {shape.batch, added.pooled_width});
        const Value ids =
            b.real_input("time_ids_embedding", {shape.batch, kSizeAndCropIds * added.ids.width});
        time = time + nn::timestep_embedding(b, "add_embedding", b.concat({pooled, ids}, 1),
                                             {config.time_embedding.width, graph::Unary::silu, {}});
    }
    if (config.time_embedding_activation) time = b.unary(time, *config.time_embedding_activation);
    const nn::UNetConditions conditions = {b.unary(time, config.resnet.activation), text};

    x = same_convolution(b, x, "conv_in", config.timestep.width, config.conv_in_kernel);
    std::vector<Value> skips = {x};
    for (std::size_t i = 0; i < config.down_blocks.size(); ++i)
        x = nn::down_block(b, numbered("down_blocks.", i), x, conditions, config.down_blocks[i], skips);
    if (config.has_mid_block)
        x = nn::mid_block(b, "mid_block", x, conditions, config.mid_resnet, config.mid_transformer);
    for (std::size_t i = 0; i < config.up_blocks.size(); ++i)
        x = nn::up_block(b, numbered("up_blocks.", i), x, conditions, config.up_blocks[i], skips);

    x = b.group_norm(x, "conv_norm_out", config.resnet.groups, config.resnet.epsilon);
    x = b.unary(x, config.resnet.activation);
    x = same_convolution(b, x, "conv_out", config.out_channels, config.conv_out_kernel);
    b.output("sample", b.convert(x, DType::f32));
    return b.finish();
}

std::unique_ptr<Denoiser> make_unet2d_condition(const Config& config) {
    return std::make_unique<UNet2DCondition>(UNet2DConditionConfig::from(config));
}

}  // namespace reprise::models
