#pragma once

#include <span>
#include <vector>

#include "backends/traits.h"
#include "cachify/analysis.h"

namespace reprise::cachify {

/// Which nodes are compiled together, and which of these pieces run when.
struct Partition {
    /// Nodes of each segment, ascending. Segments stand in an order in which any subset of them may run.
    std::vector<std::vector<graph::NodeId>> segments;
    /// Nodes computed once per generation and branch, ascending; may be empty.
    std::vector<graph::NodeId> prologue;
    /// [analysis][execution]: the segments to run, ascending; the probe's are among those of each mode.
    std::vector<std::vector<std::vector<int>>> runs;
    bool variants = false;  ///< whether segments are whole executions (and may overlap), ...
    int probe = -1;         ///< ... but for this one, which comes before the others where there are probes
};

/// One partition that serves every given analysis of one extended graph.
Partition partition(const Extended& extended, std::span<const Analysis> analyses,
                    const backends::PieceTraits& traits);

}  // namespace reprise::cachify
