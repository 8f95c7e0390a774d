#pragma once

#include "graph/graph.h"

namespace reprise::backends {

/// About what running a graph takes beside its weights: the node with the largest inputs and output, and as
/// much again for what lives beside it and the engine's own scratch memory.
double working_bytes(const graph::Graph& graph);

}  // namespace reprise::backends
