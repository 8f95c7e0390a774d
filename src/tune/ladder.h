#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cachify/policies.h"
#include "tune/search.h"

namespace reprise::tune {

/// What is kept of the parts that the modes of a ladder reuse.
struct Stores {
    cachify::Store path;      ///< of what lies beyond the path that still runs
    cachify::Store whole;     ///< of the whole denoiser
    cachify::Store guidance;  ///< of the unconditional half
};

/// A way to run a step: what it reuses, allowed at every step but the first.
struct Rung {
    std::string name;
    cachify::Config config;
    bool two_passes = false;  ///< whether it needs the halves of guidance apart
};

/// The ways there are to run a denoiser's step, the full one first, then from the most reused to the least.
/// Paths through it of up to three depths; the whole of it reused; with guidance, each path and the full step
/// also with the unconditional half made up.
std::vector<Rung> make_ladder(const cachify::PolicyContext& context, const Stores& stores, bool guidance);

/// The rules among which those of a ladder are chosen by a trial.
std::vector<cachify::Store> path_stores(const cachify::PolicyContext& context);
std::vector<cachify::Store> whole_stores();
std::vector<cachify::Store> guidance_stores();

/// "path forecast(1), whole delta, guidance delta", and back; false when it is none.
std::string to_string(const Stores& stores);
bool parse_stores(std::string_view text, const cachify::PolicyContext& context, Stores& stores);

/// A schedule as a configuration with lists of steps.
cachify::Config config_of(const graph::Graph& graph, const std::vector<Rung>& ladder, const Modes& modes);

}  // namespace reprise::tune
