#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "core/weight_source.h"
#include "graph/graph.h"

namespace reprise::models {

/// The shape that a denoiser's graph is built for.
struct DenoiserShape {
    std::int64_t batch = 1;
    std::int64_t height = 0, width = 0;  ///< of the latents
    std::int64_t text_tokens = 77;
    std::int64_t frames = 0;  ///< of a video; 0 for pictures

    friend bool operator==(const DenoiserShape&, const DenoiserShape&) = default;
};

/// What guides a denoiser, on the host, for a whole batch. Undefined where the model takes none.
struct Conditioning {
    Tensor encoder_hidden_states;  ///< (B, tokens, D) f32
    Tensor attention_mask;         ///< (B, tokens) f32 of 1 and 0: the tokens that may be attended to
    Tensor text_embeds;            ///< (B, P) f32, pooled
    /// (B, traits().time_ids) f32. Stable Diffusion XL (6): original size, crop's corner, target size, each
    /// (height, width). Its refiner (5): original size, crop's corner, aesthetic score. PixArt (3): size,
    /// then height / width. Stable Video Diffusion: frame rate - 1, motion bucket, noise augmentation.
    Tensor time_ids;
    Tensor image_latents;  ///< (B, F, C, H, W) f32, laid beside the sample's channels
};

/// How many ids a picture's size and crop are, its crop and score, and its size and ratio.
inline constexpr std::int64_t kSizeAndCropIds = 6, kCropAndScoreIds = 5, kSizeAndRatioIds = 3;

/// The sizes that a pipeline has to know. Zero where the model takes no such input.
struct DenoiserTraits {
    std::int64_t in_channels = 0;                      ///< of the sample, without those of image_latents
    std::int64_t out_channels = 0;                     ///< of the prediction
    std::int64_t sample_height = 0, sample_width = 0;  ///< of the latents it was trained for; 0: not said
    std::int64_t text_width = 0;                       ///< of encoder_hidden_states
    std::int64_t pooled_width = 0;                     ///< of text_embeds
    std::int64_t time_ids = 0;                         ///< how many
    std::int64_t patch_size = 1;                       ///< the latents' sides must be multiples of it
    std::int64_t max_side = 0;                         ///< of the latents; 0: any
    std::int64_t frames = 0;                           ///< that it was trained for; 0: it makes pictures
    std::int64_t image_channels = 0;                   ///< of image_latents
    bool takes_mask = false;                           ///< attention_mask
};

/// The graph inputs that change from step to step, under the names that every denoiser's graph gives them.
inline constexpr std::string_view kVaryingInputs[] = {"sample", "timestep_embedding"};

/// A denoiser of any class, made from its config.json: for what treats them alike. Immutable.
class Denoiser {
  public:
    Denoiser() = default;
    Denoiser(const Denoiser&) = delete;
    Denoiser& operator=(const Denoiser&) = delete;
    virtual ~Denoiser() = default;

    virtual DenoiserTraits traits() const = 0;
    /// Its graph; without weights, for its structure only. Input "sample" is (B, C, H, W), of a video
    /// (B, F, C, H, W), f32; so is its one output, "sample".
    virtual graph::Graph build(const DenoiserShape& shape, DType precision,
                               const WeightSource* weights) const = 0;
    /// The host tensors for the graph's inputs, in their order. Only those made from the sample and the
    /// timestep change from step to step.
    virtual std::vector<Tensor> inputs(const Tensor& sample, float timestep,
                                       const Conditioning& conditioning) const = 0;
};

}  // namespace reprise::models
