#include "pipelines/guidance.h"

#include <cmath>
#include <span>

namespace reprise::pipelines {

namespace {

/// Unbiased, as torch.std.
double deviation(std::span<const float> values) {
    double sum = 0;
    for (const float value : values) sum += value;
    const double mean = sum / static_cast<double>(values.size());
    double squares = 0;
    for (const float value : values) squares += (value - mean) * (value - mean);
    return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

}  // namespace

Tensor guide(const std::vector<Tensor>& halves, double guidance_scale, double guidance_rescale) {
    if (halves.size() == 1) return halves[0];
    const auto scale = static_cast<float>(guidance_scale);
    Tensor result(DType::f32, halves[0].shape());
    const auto uncond = halves[0].span<float>();
    const auto cond = halves[1].span<float>();
    const auto out = result.span<float>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = uncond[i] + scale * (cond[i] - uncond[i]);
    if (guidance_rescale <= 0) return result;
    const auto row_size = out.size() / static_cast<std::size_t>(result.dim(0));
    for (std::size_t begin = 0; begin < out.size(); begin += row_size) {
        const auto row = out.subspan(begin, row_size);
        const double ratio = deviation(cond.subspan(begin, row_size)) / deviation(row);
        const auto factor = static_cast<float>(guidance_rescale * ratio + (1 - guidance_rescale));
        for (float& value : row) value *= factor;
    }
    return result;
}

}  // namespace reprise::pipelines
