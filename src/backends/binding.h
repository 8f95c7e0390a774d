#pragma once

#include <cstddef>
#include <string_view>

#include "graph/graph.h"

namespace reprise::backends {

// What every backend checks at its door. All are Errors (failure) that name the graph.

/// The tensor has the shape and type of input or output i, which exists.
void check_input(const graph::Graph& graph, std::size_t i, const Tensor& tensor);
void check_output(const graph::Graph& graph, std::size_t i, const Tensor& tensor);
/// Every 16-bit floating node is of the precision that the graph is compiled for.
void check_types(const graph::Graph& graph, DType precision);
/// Input or output i (`what`) was not bound before a run.
[[noreturn]] void unbound(const graph::Graph& graph, std::string_view what, std::size_t i);

}  // namespace reprise::backends
