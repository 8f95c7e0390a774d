#pragma once

#include <vector>

#include "pipelines/diffusion_pipeline.h"
#include "pipelines/image_conditioner.h"
#include "pipelines/video_decoder.h"

namespace reprise::pipelines {

/// A picture in, frames out: diffusers' StableVideoDiffusionPipeline.
class ImageToVideo final : public DiffusionPipeline {
  public:
    /// Usage error when the parts do not fit each other.
    explicit ImageToVideo(PipelineParts parts);

    RunShape shape(const GenerateOptions& options) const override;
    Ingredients ingredients(const GenerateOptions& options) const override;
    std::vector<Image> decode(const Tensor& latents, const GenerateOptions& options) const override;
    PromptEmbeddings encode_prompt(const GenerateOptions& options) const override;
    bool honours(options::About about) const override;

  private:
    /// Sides in pixels.
    struct Size {
        int height = 0, width = 0;
    };
    Size frame_size(const GenerateOptions& options) const;
    /// Of the latents, along which frames lie.
    std::size_t frames_axis() const;
    std::vector<Branches> conditioning(const GenerateOptions& options, const Outlook& ahead,
                                       Generator& generator) const;

    ImageConditioner conditioner_;
    VideoDecoder decoder_;
};

}  // namespace reprise::pipelines
