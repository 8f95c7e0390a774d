#pragma once

#include <string>
#include <vector>

#include "cachify/partition.h"

namespace reprise::cachify {

/// A piece of the extended graph that is compiled once.
struct Segment {
    graph::Graph graph;
    std::vector<graph::NodeId> inputs;   ///< nodes of the extended graph, in the order of graph.inputs
    std::vector<graph::NodeId> outputs;  ///< likewise for graph.outputs
    graph::Cost cost;
    std::string content;  ///< graph::content_of: segments of any plan with it are compiled once
};

/// The segments of a partition, with the outputs that any of the analyses reads; the prologue, where there is
/// one, comes last.
std::vector<Segment> make_segments(const Extended& extended, const Partition& partition,
                                   std::span<const Analysis> analyses);

}  // namespace reprise::cachify
