#pragma once

#include <optional>

#include "graph/graph.h"
#include "reprise/cachify.h"

namespace reprise::cachify {

/// A graph with modules that no checkpoint names, and the configuration with its entries about them.
struct WithUnits {
    graph::Graph graph;
    Config config;
};

/// What a configuration reuses as one and is no module: chains of modules (Entry::as_one), called
/// "transformer_blocks.1-27", and the whole denoiser with all its parts (kind denoiser, called "denoiser",
/// from the latents to its output). Nothing where it asks for none. Error (usage) naming modules that do not
/// follow one another.
std::optional<WithUnits> with_units(const graph::Graph& graph, const Config& config);

}  // namespace reprise::cachify
