#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cachify/program.h"

namespace reprise::cachify {

/// What a plan is made of.
struct PlanRequest {
    std::vector<int> steps_of_evaluations;  ///< the sampler's step of each evaluation
    backends::PieceTraits pieces = {};      ///< of the engine that runs the plan
    std::vector<Variant> variants = {};     ///< of the modules for which the schedule says which one runs
};

/// A schedule made ready to run: immutable. Everything is decided before the loop; nothing of a model's
/// weights is held but by handle.
struct Plan {
    Schedule schedule;
    Extended extended;
    Partition partition;
    std::vector<Segment> segments;
    Analysis analysis;  ///< with reuse
    Program program;
    Analysis full_analysis;  ///< the same cut with nothing reused: what `disable` runs
    Program full_program;
    std::vector<std::string> advice;  ///< what is odd about it, in words: steps that do not see their latents

    /// What the segments of one execution cost; of a mode, its probe included.
    graph::Cost cost_of_execution(std::size_t execution) const;
    /// What every computed node of the model costs: an execution without any reuse (the prologue left out).
    graph::Cost cost_of_full() const;
    /// FLOPs of all executions without reuse over those with it; where that is decided while running, if it
    /// were reused wherever it may be.
    double expected_speedup() const;
};

/// Error (usage) as `extend` and `analyse` say.
Plan make_plan(const graph::Graph& graph, const Schedule& schedule, const PlanRequest& request);

/// A schedule with the same rules that reuses nothing, and runs variant 0 of each module.
Schedule without_reuse(const Schedule& schedule);

}  // namespace reprise::cachify
