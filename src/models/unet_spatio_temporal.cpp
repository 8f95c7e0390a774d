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

class UNetSpatioTemporal final : public Denoiser {
  public:
    explicit UNetSpatioTemporal(UNetSpatioTemporalConfig config) : config_(std::move(config)) {}

    DenoiserTraits traits() const override {
        DenoiserTraits traits;
        traits.in_channels = config_.in_channels - config_.image_channels();
        traits.out_channels = config_.out_channels;
        traits.sample_height = config_.sample_height;
        traits.sample_width = config_.sample_width;
        traits.text_width = config_.context_width;
        traits.time_ids = config_.added_ids;
        traits.frames = config_.num_frames;
        traits.image_channels = config_.image_channels();
        return traits;
    }
    graph::Graph build(const DenoiserShape& shape, DType precision,
                       const WeightSource* weights) const override {
        return build_unet_spatio_temporal(config_, shape, precision, weights);
    }
    std::vector<Tensor> inputs(const Tensor& sample, float timestep,
                               const Conditioning& conditioning) const override {
        const auto& ids = conditioning.time_ids;
        std::vector<Tensor> result = {sample, timestep_embedding(timestep, config_.timestep),
                                      conditioning.encoder_hidden_states,
                                      sinusoidal_embedding(ids.span<float>(), config_.added_id)
                                          .reshaped({ids.dim(0), ids.dim(1) * config_.added_id.width})};
        if (config_.image_channels() > 0) result.push_back(conditioning.image_latents);
        return result;
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
    const auto image_channels = config.image_channels();
    const Shape sample_shape = {shape.batch, shape.frames, config.in_channels - image_channels, shape.height,
                                shape.width};

    Value x = b.real_input("sample", sample_shape);
    Value time = b.real_input("timestep_embedding", {1, config.timestep.width});
    const Value context =
        b.real_input("encoder_hidden_states", {shape.batch, shape.text_tokens, config.context_width});
    const Value ids =
        b.real_input("time_ids_embedding", {shape.batch, config.added_ids * config.added_id.width});
    if (image_channels > 0) {
        Shape image_shape = sample_shape;
        image_shape[2] = image_channels;
        x = b.concat({x, b.real_input("image_latents", image_shape)}, 2);
    }

    const auto time_width = 4 * config.timestep.width;
    time = nn::timestep_embedding(b, "time_embedding", time, {time_width, Unary::silu, {}});
    time = b.silu(time + nn::timestep_embedding(b, "add_embedding", ids, {time_width, Unary::silu, {}}));
    nn::VideoConditions conditions;
    conditions.frames = shape.frames;
    conditions.time = {time, shape.batch == 1 ? time : b.repeat(time, 0, shape.frames)};
    conditions.context = context;
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
    Shape out_shape = sample_shape;
    out_shape[2] = config.out_channels;
    b.output("sample", b.convert(b.reshape(x, out_shape), DType::f32));
    return b.finish();
}

std::unique_ptr<Denoiser> make_unet_spatio_temporal(const Config& config) {
    return std::make_unique<UNetSpatioTemporal>(UNetSpatioTemporalConfig::from(config));
}

}  // namespace reprise::models
