#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backends/engine.h"
#include "backends/store.h"
#include "cachify/branch_memory.h"
#include "cachify/decider.h"
#include "cachify/executor.h"
#include "models/denoiser.h"
#include "pipelines/watch.h"
#include "reprise/cachify.h"
#include "reprise/pipeline.h"
#include "schedulers/scheduler.h"

namespace reprise::pipelines {

/// What `cachify::prepare` left on a pipeline.
struct Preparation {
    cachify::Config config;
    cachify::Count count = cachify::Count::steps;
    bool enabled = true;
    /// In place of `config`, several: each step is run in one of them, as Run::choose says. The first is for
    /// step 0.
    std::vector<cachify::Config> modes = {};
    bool is_nothing_by_choice = false;  ///< `auto` chose to reuse nothing, which it said
};

using backends::Engine;

/// A denoiser with guidance and reuse: plans, compiles, and runs evaluations. The only place where pipelines
/// and reuse meet. Thread-safe but for `preparation` and `watch`.
class GuidedDenoiser {
  public:
    /// `weights` may be null: then it plans but does not run.
    GuidedDenoiser(std::string class_name, std::unique_ptr<models::Denoiser> denoiser,
                   std::shared_ptr<const WeightSource> weights, Engine engine);

    const models::Denoiser& model() const { return *denoiser_; }
    const std::string& class_name() const { return class_name_; }
    std::optional<Preparation> preparation;
    /// What looks at modules while they run; needs a pipeline that is not prepared.
    std::optional<Watch> watch;
    /// Whether a prepared configuration is in force.
    bool reuses() const { return preparation && preparation->enabled && !preparation->is_nothing_by_choice; }

    /// What a run needs to know beforehand.
    struct RunShape {
        std::int64_t height = 0, width = 0;  ///< of the latents
        std::int64_t text_tokens = 0;
        std::int64_t frames = 0;  ///< of videos
        bool guidance = false;
        GuidanceMode mode = GuidanceMode::automatic;
    };
    /// The structure alone, for one branch of one picture.
    graph::Graph structure(const RunShape& shape) const;
    /// What guides one picture: the unconditional half first, then the conditional; one alone without
    /// guidance. Batches of one.
    using Branches = std::vector<models::Conditioning>;

    /// The plan that a run would follow. With `structure_only` no weights are read.
    std::shared_ptr<const cachify::Plan> plan(const RunShape& shape,
                                              const std::vector<Evaluation>& evaluations,
                                              bool structure_only) const;

    /// One run over all pictures of a call, in step: each evaluation is made for every picture before the
    /// next.
    class Run {
      public:
        /// Predictions, each (pictures, C, H, W), of videos (videos, F, C, H, W), of the unconditional and
        /// the conditional half, or one without guidance. `sample` is of that shape too, scaled already.
        /// `on_picture` hears after each picture how many are done.
        std::vector<Tensor> evaluate(const Tensor& sample,
                                     const std::function<void(std::size_t)>& on_picture = {});

        /// Leaves an evaluation out: what comes after must not need it.
        void skip();
        /// Begins again with the first evaluation; what depends on the text alone is kept.
        void restart();
        /// Says in which mode a picture's steps are run from now on, where the plan has several.
        void choose(std::function<int(std::size_t picture, int step)> mode) { choose_ = std::move(mode); }

        const cachify::Plan& plan() const { return executor_->plan(); }
        GuidanceMode mode() const { return mode_; }
        bool reuse() const { return reuse_; }
        std::vector<std::string> complaints() const;
        /// Share of a full evaluation's FLOPs, and whether a module is reused, at the evaluation made last.
        double flops_share() const { return flops_share_; }
        bool reused() const { return !reused_modules_.empty(); }
        /// Names of modules and halves of guidance that were reused there.
        const std::vector<std::string>& reused_modules() const { return reused_modules_; }
        double flops_run() const { return flops_run_; }
        /// Where it was decided while running: for each picture the steps that were reused.
        std::vector<std::vector<int>> decisions() const;

        /// What is kept of the halves of guidance for where one is not evaluated, one picture.
        std::size_t branch_bytes() const;

      private:
        friend class GuidedDenoiser;
        Run() = default;
        std::vector<Tensor> predictions_of(std::size_t picture, const Tensor& own);
        bool is_two_in_one(std::size_t picture) const;
        std::optional<int> mode_without_probe(std::size_t picture, int step, const Tensor& own);
        int decided(std::size_t picture, int step, const std::vector<Tensor>& probe, const Tensor& own,
                    std::size_t branch);
        void account(std::size_t picture, std::size_t execution);
        void note_reused(std::string_view name);

        const GuidedDenoiser* owner_ = nullptr;
        std::shared_ptr<const cachify::Executor> executor_;
        std::vector<cachify::Generation> generations_;  ///< one per picture
        std::vector<cachify::BranchMemory> memories_;   ///< likewise
        std::vector<cachify::Decider> deciders_;        ///< likewise, where it is decided while running
        std::function<int(std::size_t picture, int step)> choose_;
        std::vector<int> modes_;  ///< [picture]: of the step under way
        std::vector<std::vector<models::Conditioning>>
            conditioning_;  ///< [picture][branch], batched if the mode is
        std::vector<std::vector<std::vector<Tensor>>>
            bound_;  ///< [picture][branch]: keeps bound inputs alive
        std::vector<Evaluation> evaluations_;
        std::optional<WatchPoints> watched_;
        GuidanceMode mode_ = GuidanceMode::batched;
        bool reuse_ = false;
        std::size_t next_ = 0;   ///< evaluation
        double full_flops_ = 0;  ///< of one execution without reuse
        double flops_share_ = 1;
        double flops_run_ = 0;
        std::vector<std::string> reused_modules_;
    };
    Run start(const RunShape& shape, const std::vector<Evaluation>& evaluations,
              const std::vector<Branches>& pictures,
              const std::function<void(std::string_view)>& on_phase) const;

    /// A warning about reuse: logged unless it was already since the last `advise_anew`.
    void advise(const std::string& text) const;
    void advise_anew() const;

    /// Frees compiled pieces of more parameters than that; runs under way keep theirs.
    void release_larger_than(std::int64_t parameters) const;
    /// What is held for later calls.
    backends::Store::Held held() const { return store_.held(); }

  private:
    /// Whether the prepared configuration needs the halves of guidance as two passes.
    bool wants_two_passes() const;
    GuidanceMode resolve(const RunShape& shape, const std::vector<Evaluation>& evaluations,
                         const std::function<void(std::string_view)>& on_phase) const;
    double time_mode(const std::shared_ptr<const cachify::Executor>& executor, GuidanceMode mode,
                     std::size_t evaluations) const;
    std::shared_ptr<const cachify::Executor> executor(
        const RunShape& shape, const std::vector<Evaluation>& evaluations,
        const std::function<void(std::string_view)>& on_phase) const;
    std::shared_ptr<const graph::Graph> graph(const models::DenoiserShape& shape) const;
    void forget_freed() const;

    std::string class_name_;
    std::unique_ptr<models::Denoiser> denoiser_;
    std::shared_ptr<const WeightSource> weights_;
    Engine engine_;

    mutable std::recursive_mutex mutex_;  ///< guards what follows
    struct BuiltGraph {
        models::DenoiserShape shape;
        std::shared_ptr<const graph::Graph> graph;
    };
    mutable std::vector<BuiltGraph> graphs_;  ///< most recently used last
    struct Compiled {
        models::DenoiserShape shape;
        std::shared_ptr<const cachify::Plan> plan;  ///< that they were compiled for
        std::weak_ptr<const cachify::Pieces> pieces;
        double weight_bytes = 0;
    };
    mutable std::vector<Compiled> compiled_;  ///< that are held, or were
    mutable backends::Store::Share store_;
    struct Timed {
        models::DenoiserShape shape;
        GuidanceMode mode;
    };
    mutable std::vector<Timed> timed_;
    mutable std::set<std::string> advised_;
};

/// One result from the halves of guidance: unconditional + scale * (conditional - unconditional), then, with
/// a rescale above 0, drawn towards the conditional half's standard deviation (arXiv 2305.08891,
/// section 3.4).
Tensor guide(const std::vector<Tensor>& halves, double guidance_scale, double guidance_rescale);

}  // namespace reprise::pipelines
