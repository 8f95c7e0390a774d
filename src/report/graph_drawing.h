#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace reprise::report {

/// What a denoiser computes at each kind of step, as plain values: its blocks, what passes between them, and
/// what of it is computed, reused or not needed.
struct GraphDrawing {
    /// Stand for the latents and the prediction in links.
    static constexpr int kLatents = -1, kPrediction = -2;

    enum class State {
        computed,
        partly,   ///< computed, but for parts of it
        reused,   ///< something that was kept stands for it
        unneeded  ///< neither computed nor read
    };

    /// Modules inside a block that a configuration names, of one kind.
    struct Units {
        std::string label;
        std::size_t count = 0;
    };
    struct Block {
        std::string name;
        std::vector<Units> units = {};
    };
    struct Link {
        int from = 0, to = 0;  ///< blocks, or the ends
    };

    struct BlockState {
        State state = State::computed;
        double share = 1;                            ///< of its work that is computed
        std::string detail = {};                     ///< such as "last change added", "98.3 kB kept"
        std::vector<std::vector<State>> units = {};  ///< [units][module]
    };
    struct LinkState {
        bool live = false;           ///< something computed at this step passes
        std::size_t kept_bytes = 0;  ///< of what passes and is from an earlier step

        bool operator==(const LinkState&) const = default;
    };
    /// One kind of step.
    struct Panel {
        std::string steps;   ///< "0, 2, 4-8"
        std::string detail;  ///< such as "5.1 % of a full step"
        std::vector<BlockState> blocks;
        std::vector<LinkState> links;
    };

    std::string title, subtitle;
    std::vector<Block> blocks;  ///< in the order in which they run
    std::vector<Link> links;
    /// Links of a full step from one block to another that is not the next.
    std::vector<Link> skips;
    std::vector<Panel> panels;
};

/// A drawing (SVG): kinds of step side by side. Where every skip begins before any ends the blocks stand in a
/// U: those where skips begin on its left, those where they end on its right. Else they stand in a column.
std::string graph_drawing(const GraphDrawing& drawing);

}  // namespace reprise::report
