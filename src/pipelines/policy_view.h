#pragma once

#include <string>

#include "cachify/policies.h"
#include "pipelines/diffusion_pipeline.h"

namespace reprise::pipelines {

/// What policies may look at of a pipeline's denoiser, for a call with these options, whose `on_message`
/// hears what they say and whose steps are the denoiser's own. The denoiser's structure is that of any size,
/// which its modules do not depend on. Refers to the pipeline.
class PolicyView {
  public:
    PolicyView(const DiffusionPipeline& pipe, const GenerateOptions& options, std::size_t denoiser = 0);
    PolicyView(const PolicyView&) = delete;
    PolicyView& operator=(const PolicyView&) = delete;
    ~PolicyView() = default;

    const cachify::PolicyContext& context() const { return context_; }

  private:
    cachify::PolicyContext context_;
};

/// What a denoiser reuses in a call with these options: the call's own, or what is prepared. A policy is made
/// for the call's own run. Error (usage) for what is none.
Ways ways_of(const DiffusionPipeline& pipe, const GenerateOptions& options, std::size_t denoiser);

}  // namespace reprise::pipelines
