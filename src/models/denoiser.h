#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
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

using NamedTensors = std::map<std::string, Tensor, std::less<>>;

/// What guides one half of guidance, f32 on the host, in batches of B, by diffusers' names. A denoiser takes
/// those that `Denoiser::fixed_inputs` asks for.
///
///     encoder_hidden_states  (B, tokens, D)
///     attention_mask         (B, tokens) of 1 and 0: the tokens that may be attended to
///     text_embeds            (B, P), pooled
///     time_ids               (B, traits().time_ids). Stable Diffusion XL (6): original size, crop's corner,
///                            target size, each (height, width). Its refiner (5): original size, crop's
///                            corner, aesthetic score. PixArt (3): size, then height / width.
///                            Stable Video Diffusion: frame rate - 1, motion bucket, noise augmentation.
///     image_latents          of the latents' shape but for the channels, laid beside those of the sample
using Conditioning = NamedTensors;

/// The names of `Conditioning`, of which all but the ids are names of the graph's inputs too.
inline constexpr const char *kText = "encoder_hidden_states", *kTextMask = "attention_mask",
                            *kPooledText = "text_embeds", *kTimeIds = "time_ids",
                            *kImageLatents = "image_latents";

/// What is given under that name. Error (failure) when nothing is.
const Tensor& given(const Conditioning& conditioning, std::string_view name);

/// How many ids a picture's size and crop are, its crop and score, and its size and ratio.
inline constexpr std::int64_t kSizeAndCropIds = 6, kCropAndScoreIds = 5, kSizeAndRatioIds = 3;

/// What an axis of latents counts.
enum class Axis : std::uint8_t { pictures, frames, channels, height, width };
inline constexpr Axis kPictureAxes[] = {Axis::pictures, Axis::channels, Axis::height, Axis::width};

/// What a pipeline has to know of a denoiser.
struct DenoiserTraits {
    std::int64_t in_channels = 0;                      ///< of the latents
    std::int64_t out_channels = 0;                     ///< of the prediction
    std::int64_t sample_height = 0, sample_width = 0;  ///< of the latents it was trained for; 0: not said
    std::int64_t time_ids = 0;                         ///< how many it takes
    std::int64_t patch_size = 1;                       ///< the latents' sides must be multiples of it
    std::int64_t max_side = 0;                         ///< of the latents; 0: any
    std::int64_t frames = 0;                           ///< that it was trained for; 0: it makes pictures
    /// How its latents lie; pictures or videos come first.
    std::vector<Axis> axes = {std::begin(kPictureAxes), std::end(kPictureAxes)};

    /// Where an axis stands; -1 where the latents have none.
    std::ptrdiff_t place_of(Axis axis) const;
    /// The shape of so many pictures' latents.
    Shape latents(const DenoiserShape& shape) const;
};

/// A denoiser of any class, made from its config.json: for what treats them alike. Immutable.
class Denoiser {
  public:
    Denoiser() = default;
    Denoiser(const Denoiser&) = delete;
    Denoiser& operator=(const Denoiser&) = delete;
    virtual ~Denoiser() = default;

    virtual DenoiserTraits traits() const = 0;
    /// What its graph takes, in the order of the graph's inputs, f32. One of them is the latents, of the
    /// shape that traits() says. Nothing of the shape is checked.
    virtual std::vector<graph::InputAttrs> inputs(const DenoiserShape& shape) const = 0;
    /// Its graph; without weights, for its structure only. Its one output, "sample", has the latents' axes.
    virtual graph::Graph build(const DenoiserShape& shape, DType precision,
                               const WeightSource* weights) const = 0;
    /// The values of its fixed inputs, by name: made once for a picture and half of guidance.
    virtual NamedTensors fixed_inputs(const Conditioning& conditioning) const = 0;
    /// The values of the inputs that are given at each step, in the order in which `inputs` has them.
    virtual std::vector<Tensor> step_inputs(const Tensor& sample, float timestep) const = 0;

    /// The input of that name at the least shape; none where it takes none.
    std::optional<graph::InputAttrs> input(std::string_view name) const;
    /// The size of that input's last axis, or 0.
    std::int64_t width_of(std::string_view input) const;
    bool takes(std::string_view input) const { return width_of(input) > 0; }
};

/// An input that each half of guidance has a value of its own of, the same at all steps.
graph::InputAttrs fixed_input(std::string name, Shape shape);
/// The latents, and the timestep as sines and cosines.
graph::InputAttrs latents_input(Shape shape);
graph::InputAttrs timestep_input(std::int64_t width);

}  // namespace reprise::models
