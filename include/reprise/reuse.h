#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <variant>

#include "reprise/cachify.h"

#pragma GCC visibility push(default)

namespace reprise {

/// What a call reuses between its steps: a value.
struct Reuse {
    /// Nothing; a policy with its parameters, such as "auto:speedup=2" ("off" is nothing); or a
    /// configuration. A policy is made for the call's own run: its model, steps, size, guidance, sampler.
    std::variant<std::monostate, std::string, cachify::Config> what;
    cachify::Count count = cachify::Count::steps;  ///< what the step functions of a configuration count
    /// The prepared cut runs with nothing reused: results can be compared bit by bit, and a large model need
    /// not be compiled a second time.
    bool in_full = false;
    /// In pipelines with several denoisers: of those that are named here ("transformer_2"), what they reuse
    /// in place of the above. Each counts its own steps from 0. An entry has no entries itself.
    std::map<std::string, Reuse, std::less<>> of = {};

    Reuse() = default;
    // NOLINTBEGIN(google-explicit-constructor): the point is `options.reuse = "auto:speedup=2"`
    template <std::convertible_to<std::string> Text>
    Reuse(Text policy) : what(std::string(std::move(policy))) {}
    Reuse(cachify::Config config, cachify::Count c = cachify::Count::steps)
        : what(std::move(config)), count(c) {}
    // NOLINTEND(google-explicit-constructor)

    /// Whether it says to reuse nothing.
    bool is_off() const {
        const auto* policy = std::get_if<std::string>(&what);
        return std::holds_alternative<std::monostate>(what) || (policy != nullptr && *policy == "off");
    }
};

}  // namespace reprise

#pragma GCC visibility pop
