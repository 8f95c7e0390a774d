#include "schedulers/thresholding.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "schedulers/elementwise.h"

namespace reprise {

namespace {

/// torch.quantile of the absolute values: linear between the two nearest ranks.
float quantile_of_magnitudes(std::span<const float> values, float ratio) {
    std::vector<float> sorted(values.size());
    std::transform(values.begin(), values.end(), sorted.begin(), [](float x) { return std::abs(x); });
    std::sort(sorted.begin(), sorted.end());
    const float rank = ratio * static_cast<float>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(rank);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return std::lerp(sorted[below], sorted[above], rank - static_cast<float>(below));
}

}  // namespace

Tensor Thresholding::apply(Tensor sample) const {
    if (!dynamic && !clip) return sample;
    if (!dynamic) return map([this](float x) { return std::clamp(x, -range, range); }, sample);
    Tensor result = sample.clone();
    if (result.count() == 0) return result;
    const std::int64_t batch = result.rank() == 0 ? 1 : result.dim(0);
    const auto size = static_cast<std::size_t>(result.count() / batch);
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i) {
        const auto picture = result.span<float>().subspan(i * size, size);
        const float threshold = std::min(std::max(quantile_of_magnitudes(picture, ratio), 1.0F), most);
        for (auto& x : picture) x = std::clamp(x, -threshold, threshold) / threshold;
    }
    return result;
}

Thresholding read_thresholding(const SchedulerConfig& config) {
    Thresholding result;
    result.dynamic = config.flag("thresholding", false);
    const double ratio = config.number("dynamic_thresholding_ratio", 0.995);
    if (!(ratio >= 0.0 && ratio <= 1.0)) config.refuse("dynamic_thresholding_ratio", "expected 0 to 1");
    const double most = config.number("sample_max_value", 1.0);
    if (!(most > 0.0)) config.refuse("sample_max_value", "expected a number above 0");
    result.ratio = static_cast<float>(ratio);
    result.most = static_cast<float>(most);
    return result;
}

float read_clip_range(const SchedulerConfig& config) {
    const double range = config.number("clip_sample_range", 1.0);
    if (!(range > 0.0)) config.refuse("clip_sample_range", "expected a number above 0");
    return static_cast<float>(range);
}

}  // namespace reprise
