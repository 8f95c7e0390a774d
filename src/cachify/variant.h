#pragma once

#include <span>
#include <vector>

#include "cachify/schedule.h"
#include "graph/graph.h"

namespace reprise::cachify {

/// Another sub-graph for a module: the same outputs by other means, such as in 8 bits or without a residual.
/// The graph's own is variant 0 of a module. Those that are given are 1, 2, ... in their order.
struct Variant {
    graph::ModuleId module = 0;
    /// Its outputs are the module's, in their order, shapes and types.
    graph::Graph body;
    /// For each of the body's inputs, in their order, the node that it reads: of the graph that is extended
    /// (so with units), outside of the module and before its first output.
    std::vector<graph::NodeId> reads;
};

/// Error (failure) where a variant does not fit in its module's place, or a rule names one that there is not.
void check_variants(const graph::Graph& graph, const Schedule& schedule, std::span<const Variant> variants);

}  // namespace reprise::cachify
