#pragma once

#include "reprise/tensor.h"
#include "schedulers/config.h"

namespace reprise {

/// Bounds on the predicted clean sample: dynamic thresholding (2205.11487, section 2.3), a fixed range, or
/// none.
struct Thresholding {
    bool dynamic = false;
    float ratio = 0.995F;  ///< the quantile of the absolute values, per picture of the batch
    float most = 1.0F;     ///< the largest threshold
    bool clip = false;
    float range = 1.0F;

    Tensor apply(Tensor sample) const;
};

/// Reads thresholding, dynamic_thresholding_ratio and sample_max_value.
Thresholding read_thresholding(const SchedulerConfig& config);
/// clip_sample_range, above 0.
float read_clip_range(const SchedulerConfig& config);

}  // namespace reprise
