#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace reprise::graph {

/// What a denoiser is made of: its blocks in the order in which they run, and what passes between them. Read
/// from its graph, whatever the blocks are called. Plain data.
struct Outline {
    /// A module directly inside a block that has outputs.
    struct Layer {
        std::string name;  ///< full
        ModuleKind kind = ModuleKind::other;

        friend bool operator==(const Layer&, const Layer&) = default;
    };

    /// An outermost block.
    struct Unit {
        std::string name;
        std::string stack;  ///< its name without its number: "down_blocks" of "down_blocks.1"
        ModuleKind kind = ModuleKind::block;
        /// The streams that it transforms. A stream is what passes from block to block; its number is its
        /// place in the order in which streams begin.
        std::vector<int> takes = {};
        std::vector<int> gives = {};  ///< by output: the stream that it continues or begins; -1: none
        /// By output: whether the stream that it transforms comes in with the same shape, so that a change
        /// can be added to it.
        std::vector<bool> residual = {};
        std::vector<Layer> layers = {};  ///< in the order in which they run
        std::string part = {};           ///< the network that it belongs to, as Module::part
    };

    /// A value that a later unit reads and that is no stream as it then is.
    struct Skip {
        int from = -1;   ///< the unit that makes it; -1: it is a stream as it begins
        int output = 0;  ///< of that unit; with from = -1 the stream; -1: a value that is no output
        int after = 0;   ///< so many of that unit's layers run before it is there
        int to = 0;      ///< the unit that reads it
        int before = 0;  ///< so many of that unit's layers run before it is read

        friend bool operator==(const Skip&, const Skip&) = default;
    };

    std::vector<Unit> units;  ///< in the order in which they run
    std::vector<Skip> skips;  ///< in the order in which they are read

    /// Whether units follow one another along streams alone, as a transformer's do. False without units.
    bool in_a_row() const { return !units.empty() && skips.empty(); }
};

/// The outline of a graph. Modules of kind block are units where no other block is around them.
Outline outline_of(const Graph& graph);

/// What is left of an outline without the units of other parts, and the skips that begin or end in them.
Outline of_part(const Outline& outline, std::string_view part);

/// The name of the list that a module is in: its name without ".N" at the end, or its name.
std::string stack_of(const std::string& module_name);

/// The names of its units.
std::vector<std::string> names_of(const Outline& outline);

/// The most skips of which each lies within the one before, the outermost first. Left out are those that
/// cross one of these, that share an end with one, or within which nothing runs.
std::vector<Outline::Skip> nested_skips(const Outline& outline);

/// What runs between the two ends of a skip. Units are named as a whole. But of the one where it begins, the
/// one where it ends, and those from which a skip within it ends in the latter, the layers are named (if they
/// have any).
std::vector<Outline::Layer> within_skip(const Outline& outline, const Outline::Skip& skip);

/// How many units the stack of the last unit has.
std::size_t last_stack_size(const Outline& outline);

}  // namespace reprise::graph
