#include "models/unet_spatio_temporal.h"

#include <numeric>
#include <string>
#include <utility>

#include "models/config_checks.h"
#include "nn/embeddings.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Builder;
using graph::Unary;
using graph::Value;

namespace {

constexpr std::int64_t kMaxFrames = 1 << 12;

std::string numbered(const char* list, std::size_t i) {
    return list + std::to_string(i);
}

constexpr const char* kIdsEmbedding = "time_ids_embedding";

std::vector<graph::InputAttrs> inputs_of(const UNetSpatioTemporalConfig& config, const DenoiserShape& shape) {
    const auto latents = [&](std::int64_t channels) -> Shape {
        return {shape.batch, shape.frames, channels, shape.height, shape.width};
    };
    const auto image_channels = config.image_channels();
    std::vector<graph::InputAttrs> inputs = {
        latents_input(latents(config.in_channels - image_channels)), timestep_input(config.timestep.width),
        fixed_input(kText, {shape.batch, shape.text_tokens, config.context_width}),
        fixed_input(kIdsEmbedding, {shape.batch, config.added_ids * config.added_id.width})};
    if (image_channels > 0) inputs.push_back(fixed_input(kImageLatents, latents(image_channels)));
    return inputs;
}

class UNetSpatioTemporal final : public Denoiser {
  public:
    explicit UNetSpatioTemporal(UNetSpatioTemporalConfig config) : config_(std::move(config)) {}

    DenoiserTraits traits() const override {
        DenoiserTraits traits;
        traits.in_channels = config_.in_channels - config_.image_channels();
        traits.out_channels = config_.out_channels;
        traits.sample_height = config_.sample_height;
        traits.sample_width = config_.sample_width;
        traits.time_ids = config_.added_ids;
        traits.frames = config_.num_frames;
        traits.axes = {Axis::pictures, Axis::frames, Axis::channels, Axis::height, Axis::width};
        return traits;
    }
    std::vector<graph::InputAttrs> inputs(const DenoiserShape& shape) const override {
        return inputs_of(config_, shape);
    }
    graph::Graph build(const DenoiserShape& shape, DType precision,
                       const WeightSource* weights) const override {
        return build_unet_spatio_temporal(config_, shape, precision, weights);
    }
    NamedTensors fixed_inputs(const Conditioning& conditioning) const override {
        const Tensor& ids = given(conditioning, kTimeIds);
        NamedTensors result = {
            {kText, given(conditioning, kText)},
            {kIdsEmbedding, sinusoidal_embedding(ids.span<float>(), config_.added_id)
                                .reshaped({ids.dim(0), ids.dim(1) * config_.added_id.width})}};
        if (config_.image_channels() > 0) result[kImageLatents] = given(conditioning, kImageLatents);
        return result;
    }
    std::vector<Tensor> step_inputs(const Tensor& sample, float timestep) const override {
        return {sample, timestep_embedding(timestep, config_.timestep)};
    }

  private:
    UNetSpatioTemporalConfig config_;
};

Tensor numbers_of_frames(std::int64_t frames, std::int64_t width) {
    std::vector<float> numbers(static_cast<std::size_t>(frames));
    std::iota(numbers.begin(), numbers.end(), 0.0F);
    return sinusoidal_embedding(numbers, {width, true, 0});
}

}  // namespace

graph::Graph build_unet_spatio_temporal(const UNetSpatioTemporalConfig& config, const DenoiserShape& shape,
                                        DType precision, const WeightSource* weights) {
    check_shape("latents", shape.batch, shape.height, shape.width);
    check_shape("picture embeddings", shape.batch, 1, shape.text_tokens);
    if (shape.frames < 1 || shape.frames > kMaxFrames)
        usage_error("a video of {} frames cannot be computed; expected 1 to {}", shape.frames, kMaxFrames);
    Builder b("unet", precision, weights);
    const auto in = b.real_inputs(inputs_of(config, shape));
    Value x = in.at("sample");
    Value time = in.at("timestep_embedding");
    const Value ids = in.at(kIdsEmbedding);
    Shape out_shape = x.shape();
    out_shape[2] = config.out_channels;
    if (config.image_channels() > 0) x = b.concat({x, in.at(kImageLatents)}, 2);

    const auto time_width = 4 * config.timestep.width;
    time = nn::timestep_embedding(b, "time_embedding", time, {time_width, Unary::silu, {}});
    time = b.silu(time + nn::timestep_embedding(b, "add_embedding", ids, {time_width, Unary::silu, {}}));
    nn::VideoConditions conditions;
    conditions.frames = shape.frames;
    conditions.time = {time, shape.batch == 1 ? time : b.repeat(time, 0, shape.frames)};
    conditions.context = in.at(kText);
    conditions.frame_numbers = [&](std::int64_t width) {
        return b.constant("frame_numbers", numbers_of_frames(shape.frames, width));
    };

    x = b.reshape(x, {shape.batch * shape.frames, config.in_channels, shape.height, shape.width});
    x = b.conv2d(x, "conv_in", config.timestep.width, 3);
    std::vector<Value> skips = {x};
    for (std::size_t i = 0; i < config.down_blocks.size(); ++i)
        x = nn::down_block_spatio_temporal(b, numbered("down_blocks.", i), x, conditions,
                                           config.down_blocks[i], skips);
    x = nn::mid_block_spatio_temporal(b, "mid_block", x, conditions, config.mid_transformer);
    for (std::size_t i = 0; i < config.up_blocks.size(); ++i)
        x = nn::up_block_spatio_temporal(b, numbered("up_blocks.", i), x, conditions, config.up_blocks[i],
                                         skips);

    constexpr float kEpsilon = 1e-5F;
    x = b.silu(b.group_norm(x, "conv_norm_out", nn::kSpatioTemporalGroups, kEpsilon));
    x = b.conv2d(x, "conv_out", config.out_channels, 3);
    b.output("sample", b.convert(b.reshape(x, out_shape), DType::f32));
    return b.finish();
}

std::unique_ptr<Denoiser> make_unet_spatio_temporal(const Config& config) {
    return std::make_unique<UNetSpatioTemporal>(UNetSpatioTemporalConfig::from(config));
}

}  // namespace reprise::models
