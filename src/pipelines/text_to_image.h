#pragma once

#include <memory>
#include <mutex>

#include "io/model_folder.h"
#include "pipelines/guided_denoiser.h"
#include "pipelines/picture_decoder.h"
#include "pipelines/text_conditioner.h"
#include "reprise/pipeline.h"

namespace reprise::pipelines {

/// StableDiffusionXLPipeline and StableDiffusionPipeline: text encoders, a UNet, an autoencoder.
class TextToImage {
  public:
    /// With `structure_only` no weights are opened: it makes outlooks and plans, but nothing runs.
    TextToImage(const std::filesystem::path& folder, const LoadOptions& options, bool structure_only = false);

    GenerateOutput operator()(const GenerateOptions& options);

    const ModelFolder& folder() const { return folder_; }
    GuidedDenoiser& denoiser() { return *denoiser_; }
    const Engine& engine() const { return engine_; }
    RunReport last_report() const;
    void forget_report();

    /// What a call with these options would plan and evaluate, without weights being read.
    struct Outlook {
        GuidedDenoiser::RunShape shape;
        std::vector<Evaluation> evaluations;
    };
    Outlook outlook(const GenerateOptions& options) const;

  private:
    void check(const GenerateOptions& options) const;
    std::unique_ptr<Scheduler> scheduler(const GenerateOptions& options) const;
    std::vector<GuidedDenoiser::Branches> conditioning(const GenerateOptions& options, bool guidance);
    Tensor noise(const GenerateOptions& options, std::int64_t pictures, Generator& generator) const;

    ModelFolder folder_;
    Engine engine_;
    LoadOptions options_;
    std::unique_ptr<GuidedDenoiser> denoiser_;
    TextConditioner text_;
    PictureDecoder decoder_;
    std::mutex encoders_mutex_;  ///< of text_ and decoder_, which compile when first used
    mutable std::mutex report_mutex_;
    RunReport last_report_;
};

}  // namespace reprise::pipelines
