#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "core/process_time.h"
#include "pipelines/denoiser_run.h"
#include "pipelines/diffusion_pipeline.h"

namespace reprise::pipelines {

/// The denoisers of one call, one after the other: a stage is compiled when its first evaluation is due, and
/// freed when that of the next one is. Used by one thread.
class StagedRun {
  public:
    /// Resolves what each stage reuses, and plans it: what cannot be run is refused here. With a watch,
    /// which looks at modules, nothing is reused. What is passed must outlive it.
    StagedRun(const DiffusionPipeline& pipe, const DiffusionPipeline::Ingredients& start, const Watch* watch,
              RunReport& report);

    /// Compiles the first stage.
    void begin() { enter(0); }
    /// The halves of guidance, each of all pictures, at an evaluation of the sampler's; in their order.
    std::vector<Tensor> evaluate(std::size_t evaluation, const Tensor& input,
                                 const std::function<void(std::size_t)>& on_picture);
    /// Puts the last stage into the report.
    void end();

    /// Whether any stage reuses.
    bool reuses() const;
    /// The stage under way.
    const DenoiserRun& run() const { return *run_; }

  private:
    void enter(std::size_t stage);
    void describe();

    const DiffusionPipeline& pipe_;
    const DiffusionPipeline::Ingredients& start_;
    RunReport& report_;
    std::vector<RunRequest> requests_;  ///< by stage
    std::size_t stage_ = 0;
    std::optional<DenoiserRun> run_;
    ProcessTime begun_;
    std::size_t made_ = 0;        ///< evaluations of this stage
    std::size_t first_step_ = 0;  ///< of the report's, this stage's first
};

}  // namespace reprise::pipelines
