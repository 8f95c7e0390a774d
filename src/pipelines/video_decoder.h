#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "models/autoencoder_kl_temporal_decoder.h"
#include "pipelines/component.h"
#include "reprise/image.h"

namespace reprise::pipelines {

/// Latents to frames with a pipeline's temporal autoencoder. Thread-safe.
class VideoDecoder {
  public:
    VideoDecoder(const std::shared_ptr<const ModelSource>& source, Engine engine);

    /// The frames of one video from latents (F, C, h, w) as the sampler leaves them, `chunk` at once: frames
    /// that are decoded together see each other. 0: all of them, or as many as the machine's memory allows,
    /// with a warning.
    std::vector<Image> operator()(const Tensor& latents, int chunk, const Caller& caller = {}) const;
    /// How many frames are decoded at once where nothing is said, with so many bytes at hand (nothing:
    /// unknown).
    std::int64_t largest_chunk(const Shape& latents, std::optional<double> available) const;

  private:
    models::AutoencoderKLTemporalDecoderConfig config_;
    Component decoder_;  ///< compiled by the latents' shape
};

}  // namespace reprise::pipelines
