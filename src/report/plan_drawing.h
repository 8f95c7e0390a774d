#pragma once

#include "cachify/plan.h"
#include "report/graph_drawing.h"

namespace reprise::report {

/// The kinds of step that a plan has, without title; of more than `most_panels` those that most steps are of,
/// and `left_out` says how many more there are.
GraphDrawing drawing_of(const cachify::Plan& plan, std::size_t most_panels, std::size_t& left_out);

}  // namespace reprise::report
