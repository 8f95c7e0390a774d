#pragma once

#include <span>

#include "backends/value.h"
#include "graph/graph.h"

namespace reprise::backends {

// What every backend checks at its door. All are Errors (failure) that name the graph.

/// All inputs are there, and have the graph's shapes and types; so have the outputs that are there.
void check_run(const graph::Graph& graph, std::span<const Value* const> inputs,
               std::span<Value* const> outputs);
/// The same where memory is the host's. Outputs that are not there get memory.
void check_host_run(const graph::Graph& graph, std::span<const Value* const> inputs,
                    std::span<Value* const> outputs);
/// Every 16-bit floating node is of the precision that the graph is compiled for.
void check_types(const graph::Graph& graph, DType precision);

}  // namespace reprise::backends
