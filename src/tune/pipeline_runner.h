#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "pipelines/diffusion_pipeline.h"
#include "tune/search.h"

namespace reprise::tune {

/// Runs schedules on a pipeline, over one set of compiled pieces for all modes. What comes before the first
/// step that is not full is not run again: the full run's predictions take its place, but for those of the
/// last steps, which are run for what reuse keeps of them.
class PipelineRunner final : public Runner {
  public:
    /// Each of `pairs` has one prompt and one seed. The pipeline must outlive the runner.
    PipelineRunner(const pipelines::DiffusionPipeline& pipe, const std::vector<GenerateOptions>& pairs);
    ~PipelineRunner() override = default;
    PipelineRunner(const PipelineRunner&) = delete;
    PipelineRunner& operator=(const PipelineRunner&) = delete;

    /// Compiles for these modes, the first of which is a full step, for the first so many pairs.
    void use(const std::vector<cachify::Config>& modes, GuidanceMode guidance, std::size_t pairs);

    /// Frees what was compiled, which may be gigabytes: until the next `use` nothing runs.
    void release();

    std::size_t num_steps() const override { return num_steps_; }
    std::size_t num_pairs() const override { return pairs_.size(); }
    /// diffusers' class.
    std::string scheduler_name() const { return std::string(pairs_.front().ingredients.scheduler->name()); }
    std::vector<float> deviation(std::size_t pair, const Modes& modes) override;
    double distance(std::size_t pair, const Modes& modes) override;

    /// Final latents.
    Tensor latents(std::size_t pair, const Modes& modes);
    const Tensor& full_latents(std::size_t pair);
    /// Runs the first pair with every second step in that mode; adds the seconds of each full step and of
    /// each in the mode.
    void time(int mode, std::vector<double>& full, std::vector<double>& in_mode);

  private:
    struct Pair {
        pipelines::DiffusionPipeline::Ingredients ingredients;
        std::vector<Tensor> predictions;  ///< of the full run, by evaluation
        Tensor full;                      ///< its final latents
        std::unique_ptr<pipelines::DenoiserRun> run;
    };
    /// Makes the steps of a pair; `told` hears of each how long it took.
    Tensor go(Pair& pair, const Modes& modes, std::size_t from, std::vector<Tensor>* predictions,
              const std::function<void(int step, double seconds)>& told = {});
    Pair& with_full(std::size_t pair);

    const pipelines::DiffusionPipeline& pipe_;
    std::vector<Pair> pairs_;
    std::size_t num_steps_ = 0;
};

}  // namespace reprise::tune
