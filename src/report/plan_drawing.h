#pragma once

#include "cachify/plan.h"
#include "report/plan_view.h"

namespace reprise::report {

/// A plan's kinds of step side by side, as SVG with what it saves in the heading; of more than `most_panels`
/// those that most steps are of. `view` is the plan's, `denoiser` its class in diffusers.
std::string plan_drawing(const cachify::Plan& plan, const PlanView& view, std::string_view denoiser,
                         const std::string& title, std::size_t most_panels);

}  // namespace reprise::report
