#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "reprise/cachify.h"

namespace reprise::cachify {

/// For every step and branch, the modules that are reused: a value, made before the loop by a pure function.
/// Where that is decided while running there are several modes, one of which a step is run in.
struct Schedule {
    struct Rule {
        graph::ModuleId module = 0;
        Store store;
        std::vector<std::vector<bool>> reuse;  ///< [branch][step]
        std::vector<bool> modes = {};          ///< the modes in which it holds; empty: all

        bool holds(int mode) const { return modes.empty() || modes.at(static_cast<std::size_t>(mode)); }
        friend bool operator==(const Rule&, const Rule&) = default;
    };

    /// A half of guidance that is not evaluated at some steps.
    struct BranchRule {
        int branch = 0;  ///< of two: 0 the unconditional one, 1 the conditional
        Store store;
        std::vector<bool> reuse;       ///< [step]
        std::vector<bool> modes = {};  ///< as above

        bool holds(int mode) const { return modes.empty() || modes.at(static_cast<std::size_t>(mode)); }
        friend bool operator==(const BranchRule&, const BranchRule&) = default;
    };

    /// Which of a module's variants runs, where the module runs. Without a rule it is variant 0.
    struct VariantRule {
        graph::ModuleId module = 0;
        std::vector<std::vector<int>> variant;  ///< [branch][step]
        std::vector<bool> modes = {};           ///< as above

        bool holds(int mode) const { return modes.empty() || modes.at(static_cast<std::size_t>(mode)); }
        friend bool operator==(const VariantRule&, const VariantRule&) = default;
    };

    int num_steps = 0;
    int num_branches = 1;
    Count count = Count::steps;            ///< what `step` counts in the rules
    std::vector<Rule> rules;               ///< at most one per module, in the order of the modules
    std::vector<BranchRule> branch_rules;  ///< at most one per branch
    int num_modes = 1;
    std::optional<Decision> decision = {};        ///< between mode 0, in which less is reused, and mode 1
    std::vector<VariantRule> variant_rules = {};  ///< at most one per module and mode

    /// The rule by which the branch is not evaluated at that step in that mode, or null where it is.
    const BranchRule* stand_in(int branch, int step, int mode = 0) const;
    /// The variant of the module that runs at that step in that mode.
    int variant(graph::ModuleId module, int branch, int step, int mode) const;
    /// The modes that a step may be run in: 0, and those in which something else is reused there, or another
    /// variant runs.
    std::vector<int> modes_at(int step) const;

    friend bool operator==(const Schedule&, const Schedule&) = default;
};

/// Whether an entry's filter is shown modules of that kind.
bool is_about(const Entry& entry, ModuleKind kind);
/// Whether it is about that module; its filter sees the name in the module's part.
bool matches(const Entry& entry, const graph::Module& module);

/// Error (usage) for an entry about modules that the graph has none of.
void check_matches(const graph::Graph& graph, const Config& config);

/// Resolves a configuration on a graph's modules. `num_steps` is the number of decisions: sampler steps, or
/// evaluations with Count::evaluations. Error (usage) naming the entry when a filter matches no module of
/// its kinds, matches one that is invoked twice, or asks of guidance what it cannot give.
Schedule make_schedule(const graph::Graph& graph, const Config& config, int num_steps, int num_branches,
                       Count count = Count::steps);

/// The warning that a configuration reuses nothing, whatever is decided while running, and why. `config` is
/// what was asked for, with entries about guidance in a run without it. Empty where something may be reused.
std::string advice_on(const Config& config, const Schedule& schedule);
/// The same after a run: all was decided while running, and for no picture was a step reused.
std::string advice_after(const Schedule& schedule, const std::vector<std::vector<int>>& decisions);

/// A schedule with a mode for each configuration, whose steps say where the mode may be chosen. A module has
/// one store rule in all of them. Error (usage) as above.
Schedule make_schedule_of_modes(const graph::Graph& graph, const std::vector<Config>& modes, int num_steps,
                                int num_branches);

}  // namespace reprise::cachify
