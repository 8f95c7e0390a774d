#pragma once

#include "reprise/tensor.h"

namespace reprise {

/// Whether a tensor of f32, bf16 or f16 has no NaN and no infinity; true of other types.
bool is_finite(const Tensor& tensor);
/// Whether a tensor of f32, bf16 or f16 has a NaN; false of other types.
bool has_nan(const Tensor& tensor);

}  // namespace reprise
