#pragma once

#include <memory>
#include <vector>

#include "models/autoencoder_kl_temporal_decoder.h"
#include "models/clip_vision.h"
#include "pipelines/component.h"
#include "reprise/image.h"
#include "reprise/pipeline.h"

namespace reprise::pipelines {

/// A picture to what Stable Video Diffusion is guided by, as diffusers' pipeline encodes it: CLIP's embedding
/// and the autoencoder's latents. Thread-safe.
class ImageConditioner {
  public:
    /// `engine` is the denoiser's and the image encoder's, `vae_engine` the autoencoder's.
    ImageConditioner(const std::shared_ptr<const ModelSource>& source, const Engine& engine,
                     Engine vae_engine, const LoadOptions& options);

    /// (1, 1, width): of the whole picture, stretched to the square that the encoder sees.
    Tensor embed(const Image& image, const Caller& caller = {}) const;
    std::int64_t width() const { return clip_.projection_dim; }
    /// The mode of the latents' distribution, (1, latent_channels, H / scale, W / scale), unscaled, for a
    /// picture (1, 3, H, W) f32 around -1 to 1.
    Tensor latents(const Tensor& picture, const Caller& caller = {}) const;
    const models::AutoencoderKLTemporalDecoderConfig& vae() const { return vae_; }
    /// Frees what is larger than what may stay.
    void release_large() const;

  private:
    Tensor normalized(const Tensor& picture) const;

    models::ClipVisionConfig clip_;
    models::AutoencoderKLTemporalDecoderConfig vae_;
    std::vector<float> mean_, deviation_;  ///< of each channel, from the feature extractor
    Component embed_, encode_;
};

}  // namespace reprise::pipelines
