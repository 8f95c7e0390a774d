#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "reprise/cachify.h"

namespace reprise::cachify {

/// For every step and branch, the modules that are reused: a value, made before the loop by a pure function.
struct Schedule {
    struct Rule {
        graph::ModuleId module = 0;
        Store store;
        std::vector<std::vector<bool>> reuse;  ///< [branch][step]

        friend bool operator==(const Rule&, const Rule&) = default;
    };

    /// A half of guidance that is not evaluated at some steps.
    struct BranchRule {
        int branch = 0;  ///< of two: 0 the unconditional one, 1 the conditional
        Store store;
        std::vector<bool> reuse;  ///< [step]

        friend bool operator==(const BranchRule&, const BranchRule&) = default;
    };

    int num_steps = 0;
    int num_branches = 1;
    Count count = Count::steps;            ///< what `step` counts in the rules
    std::vector<Rule> rules;               ///< at most one per module, in the order of the modules
    std::vector<BranchRule> branch_rules;  ///< at most one per branch

    /// The rule by which the branch is not evaluated at that step, or null where it is.
    const BranchRule* stand_in(int branch, int step) const;

    friend bool operator==(const Schedule&, const Schedule&) = default;
};

/// Resolves a configuration on a graph's modules. `num_steps` is the number of decisions: sampler steps, or
/// evaluations with Count::evaluations. Error (usage) naming the entry when a filter matches no module of
/// its kinds, matches one that is invoked twice, or asks of guidance what it cannot give. Warns when nothing
/// at all is reused.
Schedule make_schedule(const graph::Graph& graph, const Config& config, int num_steps, int num_branches,
                       Count count = Count::steps);

/// The default configuration of a denoiser, by its class and its blocks: the published ones at their depths;
/// for others all but the last up block (UNets), the last quarter (PixArt) or the last third (SD3). Error
/// (usage) for a class without one.
Config default_config(std::string_view denoiser_class, const graph::Graph& graph);

}  // namespace reprise::cachify
