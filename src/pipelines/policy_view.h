#pragma once

#include <string>

#include "cachify/policies.h"
#include "pipelines/diffusion_pipeline.h"

namespace reprise::pipelines {

/// What policies may look at of a pipeline, for a call with these options. The denoiser's structure is that
/// of any size, which its modules do not depend on. Refers to the pipeline.
class PolicyView {
  public:
    PolicyView(const DiffusionPipeline& pipe, const GenerateOptions& options);
    PolicyView(const PolicyView&) = delete;
    PolicyView& operator=(const PolicyView&) = delete;
    ~PolicyView() = default;

    const cachify::PolicyContext& context() const { return context_; }
    /// Where `auto` says what it chose, in place of the log.
    void set_say(std::function<void(const std::string&)> say) { context_.say = std::move(say); }

  private:
    graph::Graph graph_;
    cachify::PolicyContext context_;
};

}  // namespace reprise::pipelines

namespace reprise::cachify {

/// Prepares the pipeline to reuse nothing, as `auto` chose and said: nothing is warned of.
void prepare_nothing(Pipeline& pipe);

}  // namespace reprise::cachify
