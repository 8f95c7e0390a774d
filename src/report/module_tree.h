#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cachify/plan.h"
#include "graph/graph.h"

namespace reprise::report {

/// One module of a graph, in the order in which the model runs them; parents before what is inside.
struct ModuleRow {
    std::string name;  ///< full; empty for the whole model
    ModuleKind kind = ModuleKind::other;
    int depth = 0;                ///< 0 for the whole model
    std::int64_t parameters = 0;  ///< with those inside
    double flops = 0;             ///< with those inside, one evaluation of the graph's batch
    double share = 0;             ///< of the whole model's FLOPs
    /// With a plan: the steps at which it is reused, itself or as a part of what is.
    std::vector<int> reused_steps;
    std::string store;  ///< with a plan that has a rule for it: "output", "delta", ...
    std::string part;   ///< the network beside the denoiser's own that it belongs to, or ""
};

struct ModuleTree {
    std::vector<ModuleRow> rows;
    int num_steps = 0;  ///< of the plan; 0 without one
};

/// All modules of the graph. `plan` may be null; it must be of the same graph.
ModuleTree module_tree(const graph::Graph& graph, const cachify::Plan* plan);

/// A table; as a tree (last parts of the names, indented) or flat (full names).
std::string to_text(const ModuleTree& tree, bool flat);
nlohmann::ordered_json to_json(const ModuleTree& tree);

}  // namespace reprise::report
