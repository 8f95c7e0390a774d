#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/model_folder.h"
#include "models/autoencoder_kl_temporal_decoder.h"
#include "pipelines/component.h"
#include "reprise/image.h"

namespace reprise::pipelines {

/// Latents to frames with the folder's temporal autoencoder. Compiled when first needed, per size. Not
/// thread-safe.
class VideoDecoder {
  public:
    VideoDecoder(const ModelFolder& folder, Engine engine, std::string variant);

    /// The frames of one video from latents (F, C, h, w) as the sampler leaves them, `chunk` at once: frames
    /// that are decoded together see each other. 0: all of them, or as many as the machine's memory allows,
    /// with a warning.
    std::vector<Image> operator()(const Tensor& latents, int chunk);
    /// How many frames are decoded at once where nothing is said, with so many bytes at hand (nothing:
    /// unknown).
    std::int64_t largest_chunk(const Shape& latents, std::optional<double> available) const;

  private:
    Tensor run(const Tensor& unscaled_latents);

    models::AutoencoderKLTemporalDecoderConfig config_;
    Engine engine_;
    std::filesystem::path path_;
    std::string variant_;
    std::unique_ptr<CompiledGraph> compiled_;
    Shape compiled_for_;
};

}  // namespace reprise::pipelines
