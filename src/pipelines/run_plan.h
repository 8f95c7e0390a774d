#pragma once

#include <memory>
#include <vector>

#include "cachify/plan.h"
#include "core/recent.h"
#include "pipelines/run_request.h"

namespace reprise::pipelines {

/// The plans of a denoiser, kept by their schedule: a call with the same reuse, shape and evaluations as an
/// earlier one plans nothing. Thread-safe; no lock is held while a plan is made.
class RunPlans {
  public:
    /// The plan of a run on this graph, whose shape is that of the request. Says what is odd about it.
    /// `pieces`: of the engine, the same in every call.
    std::shared_ptr<const cachify::Plan> plan(const graph::Graph& graph, const RunRequest& request,
                                              const backends::PieceTraits& pieces);

  private:
    struct Known {
        models::DenoiserShape shape;
        std::vector<int> steps;  ///< of the evaluations
        std::shared_ptr<const cachify::Plan> plan;
    };
    Recent<Known> known_{32};
};

/// The same without keeping it.
std::shared_ptr<const cachify::Plan> make_run_plan(const graph::Graph& graph, const RunRequest& request,
                                                   const backends::PieceTraits& pieces);

}  // namespace reprise::pipelines
