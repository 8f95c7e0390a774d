#pragma once

#include <string>
#include <string_view>

#include "reprise/profile.h"
#include "tune/search.h"

namespace reprise::tune {

/// What a search has measured so far, and of what: a file's content.
struct State {
    cachify::DenoiserIdentity model;
    cachify::MeasuredRun run;
    std::string others;  ///< a fingerprint of whatever else the measurements depend on
    std::string ladder;  ///< the modes, in words: measurements of others are of no use
    Record record;
};

/// The JSON form, in which every number survives; and back. Error (usage) naming the file and what is wrong.
std::string to_json(const State& state);
State parse_state(std::string_view json, std::string_view origin);

}  // namespace reprise::tune
