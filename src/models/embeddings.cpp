#include "models/embeddings.h"

#include <cmath>

namespace reprise::models {

Tensor sinusoidal_embedding(std::span<const float> numbers, const SinusoidalEmbedding& options) {
    const auto half = options.width / 2;
    const auto minus_log_period = static_cast<float>(-std::log(10000.0));
    const float divisor = static_cast<float>(half) - options.freq_shift;

    Tensor result(DType::f32, {static_cast<std::int64_t>(numbers.size()), options.width});
    float* row = result.span<float>().data();
    for (const float number : numbers) {
        float* sines = options.flip_sin_to_cos ? row + half : row;
        float* cosines = options.flip_sin_to_cos ? row : row + half;
        for (std::int64_t i = 0; i < half; ++i) {
            const float frequency = std::exp(minus_log_period * static_cast<float>(i) / divisor);
            sines[i] = std::sin(number * frequency);
            cosines[i] = std::cos(number * frequency);
        }
        row += options.width;
    }
    return result;
}

}  // namespace reprise::models
