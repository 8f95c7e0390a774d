#pragma once

#include <memory>

#include "models/autoencoder_kl.h"
#include "pipelines/component.h"
#include "reprise/image.h"

namespace reprise::pipelines {

/// Latents to pictures with a pipeline's autoencoder. Thread-safe.
class PictureDecoder {
  public:
    PictureDecoder(const std::shared_ptr<const ModelSource>& source, Engine engine);

    const models::AutoencoderKLConfig& config() const { return config_; }
    /// One picture from latents (1, C, h, w) as the sampler leaves them. Untiled unless the machine's memory
    /// would not suffice; then in overlapping tiles as diffusers blends them, with a warning.
    Image operator()(const Tensor& latents, const Caller& caller = {}) const;
    /// The same without turning it into 8 bits: (1, 3, H, W) f32 around -1 to 1.
    Tensor decode(const Tensor& latents, const Caller& caller = {}) const;
    /// Decodes in tiles whatever the memory.
    Tensor decode_tiled(const Tensor& latents, const Caller& caller = {}) const;

  private:
    Tensor unscaled(const Tensor& latents) const;
    /// The picture of unscaled latents.
    Tensor run(const Tensor& latents, const Caller& caller) const;

    models::AutoencoderKLConfig config_;
    Component decoder_;  ///< compiled by the latents' shape
};

}  // namespace reprise::pipelines
