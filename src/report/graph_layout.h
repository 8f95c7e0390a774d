#pragma once

#include <vector>

#include "report/graph_drawing.h"
#include "report/svg.h"

namespace reprise::report {

/// Where the parts of a denoiser stand in a drawing of one kind of step, whose top left corner is (0, 0).
struct GraphLayout {
    bool column = false;      ///< rather than a U
    double text_height = 34;  ///< of a block's name and state, above its units
    double width = 0, height = 0;
    std::vector<svg::Box> blocks;
    svg::Box latents, prediction;

    const svg::Box& box(int end) const {
        return end == GraphDrawing::kLatents      ? latents
               : end == GraphDrawing::kPrediction ? prediction
                                                  : blocks[static_cast<std::size_t>(end)];
    }
};
GraphLayout layout_of(const GraphDrawing& drawing);

/// Squares of units in a row, and the heights of their label and of a row.
inline constexpr std::size_t kUnitsInRow = 15;
inline constexpr double kUnitSide = 9, kUnitGap = 2.5, kUnitsLabel = 14;
/// The height that a block's units take.
double units_height(const GraphDrawing::Block& block);

/// A line between two parts: a path, where its head is, and where its middle.
struct Route {
    std::string path;
    svg::Point end, before_end, middle;
};
Route route(const GraphLayout& layout, GraphDrawing::Link link);

}  // namespace reprise::report
