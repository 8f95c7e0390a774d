#pragma once

#include <string>

#include "graph/graph.h"

namespace reprise::graph {

/// What a graph computes, in 32 hexadecimal digits: its operations, attributes, shapes and constants. Two
/// graphs with the same content can share what is compiled of one. Names of the graph, its modules, inputs
/// and outputs do not count. A weight counts by its name, type, shape and source, a literal by its values.
std::string content_of(const Graph& graph);

}  // namespace reprise::graph
