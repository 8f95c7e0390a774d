#pragma once

#include "graph/graph.h"

namespace reprise::pipelines {

/// Bytes that the system could give to a process now; 0 when it does not say.
double available_bytes();

/// About what running a graph takes beside its weights: the node with the largest inputs and output, and as
/// much again for what lives beside it and the engine's own scratch memory.
double working_bytes(const graph::Graph& graph);

}  // namespace reprise::pipelines
