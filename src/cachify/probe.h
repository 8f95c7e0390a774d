#pragma once

#include <vector>

#include "cachify/extend.h"

namespace reprise::cachify {

/// Adds what the schedule's decision looks at as an output, where it is a value of the graph. `renamed` are
/// the nodes of the extended graph that stand for those of `source`. Error (usage) for a value that is none
/// or that never changes.
void add_probe(Extended& extended, const graph::Graph& source, const Schedule& schedule,
               const std::vector<graph::NodeId>& renamed);

}  // namespace reprise::cachify
