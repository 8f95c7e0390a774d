#pragma once

#include <span>

#include "reprise/tensor.h"

namespace reprise::models {

/// How numbers become vectors of sines and cosines (diffusers: get_timestep_embedding).
struct SinusoidalEmbedding {
    std::int64_t width = 0;       ///< an odd one ends in a zero
    bool flip_sin_to_cos = true;  ///< cosines first
    float freq_shift = 0;         ///< must differ from width / 2
};

/// One row of `width` for each number, (count, width), computed in f32 as diffusers does.
Tensor sinusoidal_embedding(std::span<const float> numbers, const SinusoidalEmbedding& options);

/// The graph input "timestep_embedding": (1, width).
inline Tensor timestep_embedding(float timestep, const SinusoidalEmbedding& options) {
    return sinusoidal_embedding({&timestep, 1}, options);
}

}  // namespace reprise::models
