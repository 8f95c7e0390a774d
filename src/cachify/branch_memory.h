#pragma once

#include <vector>

#include "cachify/schedule.h"
#include "reprise/tensor.h"

namespace reprise::cachify {

/// The last predictions of the two halves of guidance, for where one of them is not evaluated. One per
/// picture and generation.
class BranchMemory {
  public:
    explicit BranchMemory(const Schedule& schedule) : schedule_(&schedule), kept_(2) {}

    /// One evaluation's predictions in the order of the branches, undefined where none was made; `decision`
    /// is the step, or the evaluation with Count::evaluations, `mode` what the step is run in. Fills in what
    /// the schedule's rules make up, and takes out what is dropped.
    void complete(std::vector<Tensor>& predictions, int evaluation, int decision, int mode = 0);
    std::size_t kept_bytes() const;

  private:
    struct Kept {
        std::vector<int> evaluations;     ///< newest first
        std::vector<Tensor> predictions;  ///< likewise, or the difference to the other half
    };
    const Schedule* schedule_;  ///< of the plan, which outlives this
    std::vector<Kept> kept_;    ///< by branch
};

}  // namespace reprise::cachify
