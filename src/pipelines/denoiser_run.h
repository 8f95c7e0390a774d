#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cachify/branch_memory.h"
#include "cachify/decider.h"
#include "cachify/executor.h"
#include "pipelines/run_request.h"

namespace reprise::pipelines {

/// How a picture runs. Pictures of one call are unlike in the length of their texts alone.
struct PictureRun {
    std::shared_ptr<const cachify::Executor> executor;
    GuidanceMode mode = GuidanceMode::batched;        ///< resolved
    double full_flops = 0;                            ///< of one execution without reuse
    std::shared_ptr<const WatchPoints> watched = {};  ///< or null
};

/// One run over all pictures of a call, in step: each evaluation is made for every picture before the next.
/// Owns what changes; refers to the denoiser. Used by one thread at a time.
class DenoiserRun {
  public:
    /// `runs` has an entry for each of `pictures`. Error (usage) when memory does not suffice for so many.
    DenoiserRun(const models::Denoiser& denoiser, std::vector<PictureRun> runs, const RunRequest& request,
                const std::vector<Branches>& pictures);

    /// Predictions, with rows for all pictures, of the unconditional and the conditional half, or one without
    /// guidance. `sample` has the denoiser's latents of all pictures, scaled already. `on_picture` hears
    /// after each picture how many are done.
    std::vector<Tensor> evaluate(const Tensor& sample,
                                 const std::function<void(std::size_t)>& on_picture = {});

    /// Leaves an evaluation out: what comes after must not need it.
    void skip();
    /// Begins again with the first evaluation; what depends on the text alone is kept.
    void restart();
    /// Says in which mode a picture's steps are run from now on, where the plan has several.
    void choose(std::function<int(std::size_t picture, int step)> mode) { choose_ = std::move(mode); }

    /// The first picture's.
    const cachify::Plan& plan() const { return plan(0); }
    GuidanceMode mode() const { return runs_.front().mode; }
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
    const cachify::Plan& plan(std::size_t picture) const { return runs_[picture].executor->plan(); }
    void add_picture(const Branches& branches);
    /// Of all pictures.
    backends::Queue& queue() { return workspaces_.front()->queue(); }
    struct Asked;
    Asked ask(std::size_t picture, const Tensor& own);
    std::vector<Tensor> predictions_of(std::size_t picture, Asked asked);
    bool is_two_in_one(std::size_t picture) const {
        return halves_ == 2 && runs_[picture].mode == GuidanceMode::batched;
    }
    std::optional<int> mode_without_probe(std::size_t picture, int step, const Tensor& own);
    int decided(std::size_t picture, int step, const std::vector<backends::Value>& probe, const Tensor& own,
                std::size_t branch);
    void account(std::size_t picture, std::size_t execution);
    void note_reused(std::string_view name);

    const models::Denoiser* denoiser_;
    std::vector<PictureRun> runs_;                                 ///< by picture
    std::vector<std::shared_ptr<cachify::Workspace>> workspaces_;  ///< by picture; of one plan they share one
    std::size_t halves_;                                           ///< of guidance
    std::vector<Evaluation> evaluations_;
    bool reuse_;
    std::stop_token stop_;
    std::vector<std::size_t> step_inputs_;          ///< positions of the inputs that are given at each step
    std::vector<cachify::Generation> generations_;  ///< one per picture
    std::vector<cachify::BranchMemory> memories_;   ///< likewise
    std::vector<cachify::Decider> deciders_;        ///< likewise, where it is decided while running
    std::vector<cachify::ValueMeasure> measures_;   ///< what those look at
    std::function<int(std::size_t picture, int step)> choose_;
    std::vector<int> modes_;  ///< [picture]: of the step under way
    std::size_t next_ = 0;    ///< evaluation
    double flops_share_ = 1;
    double flops_run_ = 0;
    std::vector<std::string> reused_modules_;
};

}  // namespace reprise::pipelines
