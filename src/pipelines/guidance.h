#pragma once

#include <vector>

#include "reprise/tensor.h"

namespace reprise::pipelines {

/// One result from the halves of guidance: unconditional + scale * (conditional - unconditional), then, with
/// a rescale above 0, drawn towards the conditional half's standard deviation (arXiv 2305.08891,
/// section 3.4).
Tensor guide(const std::vector<Tensor>& halves, double guidance_scale, double guidance_rescale);

}  // namespace reprise::pipelines
