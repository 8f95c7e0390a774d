#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "files/model_folder.h"
#include "models/autoencoder_kl.h"
#include "pipelines/component.h"
#include "reprise/image.h"

namespace reprise::pipelines {

/// Latents to pictures with the folder's autoencoder. Compiled when first needed, per size. Thread-safe.
class PictureDecoder {
  public:
    PictureDecoder(const ModelFolder& folder, Engine engine, std::string variant);

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

    models::AutoencoderKLConfig config_;
    AutoencoderHalf run_;  ///< unscaled latents to a picture
};

}  // namespace reprise::pipelines
