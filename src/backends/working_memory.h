#pragma once

#include "graph/graph.h"

namespace reprise::backends {

/// About what running a graph takes beside its weights: the node with the largest inputs and output, and as
/// much again for what lives beside it and the engine's own scratch memory.
double working_bytes(const graph::Graph& graph);

/// Scratch memory below this is kept between runs: freeing and having it again takes some 5 ms (785
/// operations), which is more than it is worth.
constexpr double kSmallScratch = 64e6;

}  // namespace reprise::backends
