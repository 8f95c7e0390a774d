#pragma once

#include <memory>
#include <mutex>

#include "pipelines/conditioner.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/picture_decoder.h"

namespace reprise::pipelines {

/// Prompts in, pictures out: text encoders, a denoiser, an autoencoder.
class TextToImage final : public DiffusionPipeline {
  public:
    /// Usage error when the parts do not fit each other.
    TextToImage(PipelineParts parts, std::unique_ptr<Conditioner> conditioner);

    GenerateOutput operator()(const GenerateOptions& options) override;
    Outlook outlook(const GenerateOptions& options) const override;

  private:
    /// Sides in pixels.
    struct Size {
        int height = 0, width = 0;
    };
    Size picture_size(const GenerateOptions& options) const;
    std::vector<GuidedDenoiser::Branches> conditioning(const GenerateOptions& options, bool guidance);

    std::unique_ptr<Conditioner> conditioner_;
    PictureDecoder decoder_;
    std::mutex encoders_mutex_;  ///< of conditioner_ and decoder_, which compile when first used
};

}  // namespace reprise::pipelines
