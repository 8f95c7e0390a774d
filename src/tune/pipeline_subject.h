#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "pipelines/diffusion_pipeline.h"
#include "tune/subject.h"

namespace reprise::tune {

/// A pipeline of ours: runs schedules over one set of compiled pieces for all modes. What comes before the
/// first step that is not full is not run again: the full run's predictions take its place, but for those of
/// the last steps, which are run for what reuse keeps of them.
class PipelineSubject final : public Subject {
  public:
    /// Each of `pairs` has one prompt and one seed, with all defaults; those held out are the second half.
    /// The pipeline must outlive the subject. Usage error for what cannot be tuned.
    PipelineSubject(pipelines::DiffusionPipeline& pipe, std::vector<GenerateOptions> pairs,
                    std::string fingerprint = {});
    ~PipelineSubject() override = default;
    PipelineSubject(const PipelineSubject&) = delete;
    PipelineSubject& operator=(const PipelineSubject&) = delete;

    const std::string& class_name() const override { return pipe_.denoiser().class_name(); }
    const graph::Graph& structure() const override { return structure_; }
    cachify::DenoiserIdentity identity() const override { return pipe_.identity(); }
    cachify::MeasuredRun run() const override;
    std::string fingerprint() const override { return fingerprint_; }
    bool has_guidance() const override { return ahead_.shape.guidance; }
    bool may_batch() const override { return options_.front().guidance_mode != GuidanceMode::split; }
    bool is_small() const override { return small_; }

    /// Compiles.
    void use(const std::vector<cachify::Config>& modes, GuidanceMode guidance, std::size_t pairs,
             Pairs which = Pairs::tuned) override;
    void release() override;

    std::size_t num_steps() const override { return num_steps_; }
    std::size_t num_pairs() const override { return (options_.size() + 1) / 2; }
    std::vector<float> deviation(std::size_t pair, const Modes& modes) override;
    double distance(std::size_t pair, const Modes& modes) override;

    /// Final latents.
    Tensor latents(std::size_t pair, const Modes& modes);
    const Tensor& full_latents(std::size_t pair);
    void seconds(int mode, std::vector<double>& full, std::vector<double>& in_mode) override;
    /// The full pictures are decoded once.
    Likeness likeness(std::size_t pair, const Modes& modes) override;
    double speedup(const cachify::Config& config) override;

  private:
    struct Pair {
        pipelines::DiffusionPipeline::Ingredients ingredients;
        std::vector<Tensor> predictions;   ///< of the full run, by evaluation
        Tensor full;                       ///< its final latents
        std::vector<Image> pictures = {};  ///< of these, frame by frame, where they were decoded
        std::unique_ptr<pipelines::DenoiserRun> run;
    };
    /// Makes the steps of a pair; `told` hears of each how long it took.
    Tensor go(Pair& pair, const Modes& modes, std::size_t from, std::vector<Tensor>* predictions,
              const std::function<void(int step, double seconds)>& told = {});
    Pair& with_full(std::size_t pair);
    /// Encodes the prompts of the tuned or of the held-out pairs, once for each change between them.
    void encode(Pairs which);

    pipelines::DiffusionPipeline& pipe_;
    std::vector<GenerateOptions> options_;  ///< by pair
    std::string fingerprint_;
    pipelines::DiffusionPipeline::Outlook ahead_;
    graph::Graph structure_;
    bool small_ = true;
    std::size_t num_steps_ = 0;
    std::size_t first_ = 0;    ///< the pair that `pairs_` begins with
    std::vector<Pair> pairs_;  ///< those tuned on or those held out, encoded
};

}  // namespace reprise::tune
