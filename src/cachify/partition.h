#pragma once

#include <span>
#include <vector>

#include "cachify/analysis.h"

namespace reprise::cachify {

struct CutOptions {
    /// Segments to aim at; more only where no legal merge is left. Measured: many small compiled pieces hold
    /// more threads and scratch memory.
    int max_segments = 32;
    /// When every distinct execution compiled as a whole holds at most this many bytes of weights in all, do
    /// that instead of cutting: nothing is stitched together, at the price of weights held more than once.
    double variant_budget_bytes = 256e6;
    /// Segments with more weights than this are divided, because pieces compile at the same time.
    double piece_bytes = 1.5e9;
};

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
Partition partition(const Extended& extended, std::span<const Analysis> analyses, const CutOptions& options);

}  // namespace reprise::cachify
