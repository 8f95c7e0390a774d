#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/engine.h"
#include "backends/store.h"
#include "core/recent.h"
#include "models/denoiser.h"
#include "pipelines/denoiser_run.h"
#include "pipelines/run_plan.h"

namespace reprise::pipelines {

using backends::Engine;

/// A pipeline's denoiser: builds its graphs, plans, compiles, and starts runs. The only place where pipelines
/// and reuse meet. Thread-safe; no lock is held while anything is built, planned, compiled or timed.
class GuidedDenoiser {
  public:
    /// `weights` may be null: then it plans but does not run.
    GuidedDenoiser(std::string class_name, std::unique_ptr<models::Denoiser> denoiser,
                   std::shared_ptr<const WeightSource> weights, Engine engine);

    const models::Denoiser& model() const { return *denoiser_; }
    const std::string& class_name() const { return class_name_; }

    /// The structure alone, for one branch of one picture.
    graph::Graph structure(const RunShape& shape) const;
    /// The plan that a run would follow; no weights are read. Guidance whose mode is automatic is planned as
    /// one batch, unless what is reused needs two passes.
    std::shared_ptr<const cachify::Plan> plan(RunRequest request) const;
    /// Compiles what is not there and starts a run. A picture runs at the length of its own texts, whatever
    /// the others' and that of the request are. Error (usage) for what cannot be planned; Error (cancelled)
    /// after a stop.
    DenoiserRun start(RunRequest request, const std::vector<Branches>& pictures) const;

    /// Frees what is compiled and not in use, where it is more than a limit, if there is one.
    void release_beyond(const std::optional<std::int64_t>& bytes) const { store_.drop_beyond(bytes); }
    /// What is held for later calls.
    backends::Store::Held held() const { return store_.held(); }

  private:
    std::shared_ptr<const graph::Graph> graph(const models::DenoiserShape& shape) const;
    std::shared_ptr<const cachify::Plan> planned(const graph::Graph& graph, const RunRequest& request) const;
    std::shared_ptr<const cachify::Executor> executor(const RunRequest& request) const;
    PictureRun picture_run(RunRequest request) const;
    GuidanceMode resolve(const RunRequest& request) const;
    GuidanceMode timed(const RunRequest& split) const;

    std::string class_name_;
    std::unique_ptr<models::Denoiser> denoiser_;
    std::shared_ptr<const WeightSource> weights_;
    Engine engine_;

    mutable RunPlans plans_;
    mutable backends::Store::Share store_;

    struct BuiltGraph {
        models::DenoiserShape shape;
        std::shared_ptr<const graph::Graph> graph;
    };
    /// Never changed once it is known: a second timing might choose the other way, and differ in last bits.
    struct Timing {
        models::DenoiserShape shape;
        GuidanceMode mode;
    };
    mutable Recent<BuiltGraph> graphs_{8};
    mutable Recent<Timing> timings_{std::numeric_limits<std::size_t>::max()};
};

}  // namespace reprise::pipelines
