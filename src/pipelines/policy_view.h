#pragma once

#include <string>

#include "cachify/policies.h"
#include "pipelines/diffusion_pipeline.h"

namespace reprise::pipelines {

/// What policies may look at of a pipeline, for a call with these options, whose `on_message` hears what they
/// say. The denoiser's structure is that of any size, which its modules do not depend on. Refers to the
/// pipeline.
class PolicyView {
  public:
    PolicyView(const DiffusionPipeline& pipe, const GenerateOptions& options);
    PolicyView(const PolicyView&) = delete;
    PolicyView& operator=(const PolicyView&) = delete;
    ~PolicyView() = default;

    const cachify::PolicyContext& context() const { return context_; }

  private:
    cachify::PolicyContext context_;
};

/// What a call with these options reuses: its own, or what is prepared. A policy is made for the call's own
/// run. Error (usage) for what is none.
Ways ways_of(const DiffusionPipeline& pipe, const GenerateOptions& options);

}  // namespace reprise::pipelines
