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

constexpr const char* kIdsEmbedding = "time_ids_embedding";

std::vector<graph::InputAttrs> inputs_of(const UNet2DConditionConfig& config, const DenoiserShape& shape) {
    std::vector<graph::InputAttrs> inputs = {
        latents_input({shape.batch, config.in_channels, shape.height, shape.width}),
        timestep_input(config.timestep.width),
        fixed_input(kText, {shape.batch, shape.text_tokens, config.text_width})};
    if (config.text_time) {
        const auto& added = *config.text_time;
        inputs.push_back(fixed_input(kPooledText, {shape.batch, added.pooled_width}));
        inputs.push_back(fixed_input(kIdsEmbedding, {shape.batch, added.num_ids * added.ids.width}));
    }
    return inputs;
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
        if (config_.text_time) traits.time_ids = config_.text_time->num_ids;
        return traits;
    }
    std::vector<graph::InputAttrs> inputs(const DenoiserShape& shape) const override {
        return inputs_of(config_, shape);
    }
    graph::Graph build(const DenoiserShape& shape, DType precision,
                       const WeightSource* weights) const override {
        return build_unet2d_condition(config_, shape, precision, weights);
    }
    NamedTensors fixed_inputs(const Conditioning& conditioning) const override {
        NamedTensors result = {{kText, given(conditioning, kText)}};
        if (config_.text_time) {
            const Tensor& ids = given(conditioning, kTimeIds);
            result[kPooledText] = given(conditioning, kPooledText);
            result[kIdsEmbedding] = sinusoidal_embedding(ids.span<float>(), config_.text_time->ids)
                                        .reshaped({ids.dim(0), ids.dim(1) * config_.text_time->ids.width});
        }
        return result;
    }
    std::vector<Tensor> step_inputs(const Tensor& sample, float timestep) const override {
        return {sample, timestep_embedding(timestep, config_.timestep)};
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

    const auto in = b.real_inputs(inputs_of(config, shape));
    Value x = in.at("sample");
    Value time = in.at("timestep_embedding");

    if (config.center_input_sample) x = b.affine(x, 2, -1);
    time = nn::timestep_embedding(b, "time_embedding", time, config.time_embedding);
    if (config.text_time) {
        time = time + nn::timestep_embedding(b, "add_embedding",
                                             b.concat({in.at(kPooledText), in.at(kIdsEmbedding)}, 1),
                                             {config.time_embedding.width, graph::Unary::silu, {}});
    }
    if (config.time_embedding_activation) time = b.unary(time, *config.time_embedding_activation);
    const nn::UNetConditions conditions = {b.unary(time, config.resnet.activation), in.at(kText)};

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
