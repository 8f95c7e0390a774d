#pragma once

#include <memory>
#include <optional>

#include "pipelines/as_loaded.h"
#include "pipelines/aspect_bins.h"
#include "pipelines/conditioner.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/picture_decoder.h"

namespace reprise::pipelines {

/// Prompts in, pictures out: text encoders, a denoiser, an autoencoder.
class TextToImage final : public DiffusionPipeline {
  public:
    /// Whether this kind of pipeline has sizes that it was trained for, and which, where they are known: then
    /// a picture is drawn at the nearest of them and scaled and cropped to the one asked for, unless the
    /// options say otherwise.
    struct Binning {
        bool is_an_option = false;
        std::optional<AspectBins> bins = {};
    };
    /// Without a conditioner prompts come as embeddings. Usage error when the parts do not fit each other.
    TextToImage(PipelineParts parts, std::unique_ptr<Conditioner> conditioner, Binning binning);

    RunShape shape(const GenerateOptions& options) const override;
    Ingredients ingredients(const GenerateOptions& options) const override;
    std::vector<Image> decode(const Tensor& latents, const GenerateOptions& options) const override;
    PromptEmbeddings encode_prompt(const GenerateOptions& options) const override;
    bool honours(options::About about) const override;

  private:
    bool uses_bins(const GenerateOptions& options) const {
        return binning_.bins && options.use_resolution_binning;
    }
    PictureSize asked_size(const GenerateOptions& options) const;
    PictureSize drawn_size(const GenerateOptions& options) const;
    void check(const GenerateOptions& options) const override;
    /// Usage error unless the options have all that the pipeline starts from.
    void check_start(const GenerateOptions& options) const;
    void check_texts(const GenerateOptions& options) const;
    /// Of each prompt, encoded or as the options bring it.
    std::vector<Branches> texts(const GenerateOptions& options, bool guidance) const;
    /// Of each picture.
    std::vector<Branches> conditioning(const GenerateOptions& options, bool guidance) const;

    std::unique_ptr<Conditioner> conditioner_;
    Binning binning_;
    PictureDecoder decoder_;
};

}  // namespace reprise::pipelines
