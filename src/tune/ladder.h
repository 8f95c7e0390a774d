#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cachify/policies.h"
#include "tune/search.h"

namespace reprise::tune {

/// What trials chose for the modes of a ladder.
struct Choices {
    cachify::Store path;      ///< what is kept of what lies beyond the path that still runs
    cachify::Store whole;     ///< of the whole denoiser
    cachify::Store guidance;  ///< of the unconditional half
    /// Of a transformer: its blocks, from the one whose reuse moves the result least. Empty: not known.
    std::vector<int> order = {};
};

/// A way to run a step: what it reuses, allowed at every step but the first.
struct Rung {
    std::string name;
    cachify::Config config;
    bool two_passes = false;  ///< whether it needs the halves of guidance apart
};

/// The ways there are to run a denoiser's step, the full one first, then from the most reused to the least.
/// Paths through it of up to three depths; of a transformer whose blocks' order is known, also sparse ways:
/// the half, quarter and eighth of its blocks that move the result most. The whole of it reused; with
/// guidance, each of these and the full step also with the unconditional half made up.
std::vector<Rung> make_ladder(const cachify::PolicyContext& context, const Choices& choices, bool guidance);

/// For each block of a transformer a way to run a step that reuses that block alone, by `store`.
std::vector<Rung> single_blocks(const cachify::PolicyContext& context, const cachify::Store& store);

/// The rules among which those of a ladder are chosen by a trial.
std::vector<cachify::Store> path_stores(const cachify::PolicyContext& context);
std::vector<cachify::Store> whole_stores();
std::vector<cachify::Store> guidance_stores();

/// "path delta, whole delta, guidance delta, blocks 2 0 1", and back; false when it is none.
std::string to_string(const Choices& choices);
bool parse_choices(std::string_view text, const cachify::PolicyContext& context, Choices& choices);

/// A schedule as a configuration with lists of steps.
cachify::Config config_of(const graph::Graph& graph, const std::vector<Rung>& ladder, const Modes& modes);

}  // namespace reprise::tune
