#pragma once

#include <vector>

#include "cachify/extend.h"

namespace reprise::cachify {

/// One call of the denoiser for one branch, in one of the modes that its step may be run in; or the part of
/// it that comes before the choice of a mode.
struct Execution {
    static constexpr int kProbe = -1;
    int evaluation = 0;
    int step = 0;  ///< the sampler's step
    int branch = 0;
    int decision = 0;  ///< what the schedule's rules are asked about: the step, or the evaluation (Count)
    int mode = 0;      ///< or kProbe
};

/// Every execution of a generation, in order. Those of one evaluation and branch stand together: the probe,
/// where there is one, then one for each mode, of which one is run.
using Sequence = std::vector<Execution>;

/// The end of the executions that begin at `begin`: of one evaluation and branch.
std::size_t alternatives_end(const Sequence& sequence, std::size_t begin);

/// `steps_of_evaluations[e]` is the sampler's step of evaluation e; each evaluation runs the branches in turn
/// that nothing stands in for.
/// `probed`: whether each begins with a probe.
Sequence make_sequence(const std::vector<int>& steps_of_evaluations, const Schedule& schedule,
                       bool probed = false);

/// What a schedule asks of each execution.
struct Analysis {
    /// A value read at an execution that does not compute it: the last `count` ones of that branch.
    struct StaleRead {
        graph::NodeId node = 0;
        int branch = 0;
        int count = 1;
    };
    struct PerExecution {
        std::vector<bool> must;         ///< by node: has to be computed
        std::vector<bool> kept;         ///< by node: computed here and read by a later execution
        std::vector<bool> module_runs;  ///< by module: neither it nor one around it is reused
        std::vector<StaleRead> stale;
        bool reads_latents = false;  ///< whether the output depends on the latents
    };

    Sequence sequence;
    /// One way through the sequence: at each step the mode that reuses most.
    std::vector<std::size_t> path;
    int num_branches = 1;
    std::vector<PerExecution> executions;
    std::vector<bool> prologue;  ///< by node: a prologue node that some execution needs

    /// Whether the rule's module is reused (and visible) at that execution.
    bool is_reused(const Extended& extended, const Schedule& schedule, std::size_t execution,
                   std::size_t rule) const;
};

/// Liveness over the whole sequence, whichever modes will be chosen: what any of them may read is kept. Error
/// (usage) naming module and step when a module would be reused before it ever ran, or `mean` over branches
/// is asked of a single one.
Analysis analyse(const Extended& extended, const Schedule& schedule, const Sequence& sequence);

}  // namespace reprise::cachify
