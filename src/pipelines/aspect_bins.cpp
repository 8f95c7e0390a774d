#include "pipelines/aspect_bins.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace reprise::pipelines {

namespace {

/// Of 1024 pixels; those of 512 and 256 are the same, divided.
constexpr auto kBins1024 = std::to_array<AspectBins::Bin>({
    {0.25, 512, 2048}, {0.28, 512, 1856}, {0.32, 576, 1792}, {0.33, 576, 1728}, {0.35, 576, 1664},
    {0.4, 640, 1600},  {0.42, 640, 1536}, {0.48, 704, 1472}, {0.5, 704, 1408},  {0.52, 704, 1344},
    {0.57, 768, 1344}, {0.6, 768, 1280},  {0.68, 832, 1216}, {0.72, 832, 1152}, {0.78, 896, 1152},
    {0.82, 896, 1088}, {0.88, 960, 1088}, {0.94, 960, 1024}, {1.0, 1024, 1024}, {1.07, 1024, 960},
    {1.13, 1088, 960}, {1.21, 1088, 896}, {1.29, 1152, 896}, {1.38, 1152, 832}, {1.46, 1216, 832},
    {1.67, 1280, 768}, {1.75, 1344, 768}, {2.0, 1408, 704},  {2.09, 1472, 704}, {2.4, 1536, 640},
    {2.5, 1600, 640},  {3.0, 1728, 576},  {4.0, 2048, 512},
});
constexpr auto kBins2048 = std::to_array<AspectBins::Bin>({
    {0.25, 1024, 4096}, {0.26, 1024, 3968}, {0.27, 1024, 3840}, {0.28, 1024, 3712}, {0.32, 1152, 3584},
    {0.33, 1152, 3456}, {0.35, 1152, 3328}, {0.4, 1280, 3200},  {0.42, 1280, 3072}, {0.48, 1408, 2944},
    {0.5, 1408, 2816},  {0.52, 1408, 2688}, {0.57, 1536, 2688}, {0.6, 1536, 2560},  {0.68, 1664, 2432},
    {0.72, 1664, 2304}, {0.78, 1792, 2304}, {0.82, 1792, 2176}, {0.88, 1920, 2176}, {0.94, 1920, 2048},
    {1.0, 2048, 2048},  {1.07, 2048, 1920}, {1.13, 2176, 1920}, {1.21, 2176, 1792}, {1.29, 2304, 1792},
    {1.38, 2304, 1664}, {1.46, 2432, 1664}, {1.67, 2560, 1536}, {1.75, 2688, 1536}, {2.0, 2816, 1408},
    {2.09, 2944, 1408}, {2.4, 3072, 1280},  {2.5, 3200, 1280},  {2.89, 3328, 1152}, {3.0, 3456, 1152},
    {3.11, 3584, 1152}, {3.62, 3712, 1024}, {3.75, 3840, 1024}, {3.88, 3968, 1024}, {4.0, 4096, 1024},
});

/// For each place of a side that is scaled, the two pixels that it lies between and the share of the second
/// (PyTorch's bilinear interpolation without aligned corners).
struct Between {
    std::size_t first = 0, second = 0;
    float share = 0;
};

std::vector<Between> places(std::int64_t from, std::int64_t to) {
    std::vector<Between> result;
    const float scale = static_cast<float>(from) / static_cast<float>(to);
    for (std::int64_t i = 0; i < to; ++i) {
        const float at = std::max(0.0F, scale * (static_cast<float>(i) + 0.5F) - 0.5F);
        const auto first = std::min(static_cast<std::int64_t>(at), from - 1);
        result.push_back({static_cast<std::size_t>(first),
                          static_cast<std::size_t>(std::min(first + 1, from - 1)),
                          at - static_cast<float>(first)});
    }
    return result;
}

}  // namespace

std::optional<AspectBins> AspectBins::find(std::int64_t sample_size, bool has_2048) {
    switch (sample_size) {
        case 256:
            return has_2048 ? std::optional(AspectBins(kBins2048, 1)) : std::nullopt;
        case 128:
            return AspectBins(kBins1024, 1);
        case 64:
            return AspectBins(kBins1024, 2);
        case 32:
            return AspectBins(kBins1024, 4);
        default:
            return std::nullopt;
    }
}

PictureSize AspectBins::closest(PictureSize asked) const {
    const double ratio = static_cast<double>(asked.height) / static_cast<double>(asked.width);
    const auto& found = *std::min_element(bins_.begin(), bins_.end(), [&](const Bin& a, const Bin& b) {
        return std::abs(a.ratio - ratio) < std::abs(b.ratio - ratio);
    });
    return {found.height / divisor_, found.width / divisor_};
}

Tensor resized_and_cropped(const Tensor& picture, PictureSize size) {
    const auto height = picture.dim(2);
    const auto width = picture.dim(3);
    if (height == size.height && width == size.width) return picture;
    const double ratio = std::max(static_cast<double>(size.height) / static_cast<double>(height),
                                  static_cast<double>(size.width) / static_cast<double>(width));
    const auto scaled = [&](std::int64_t side, int least) {  // rounding must not take the last pixel
        return std::max<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(side) * ratio), least);
    };
    const auto rows = places(height, scaled(height, size.height));
    const auto columns = places(width, scaled(width, size.width));
    const auto top = (rows.size() - static_cast<std::size_t>(size.height)) / 2;
    const auto left = (columns.size() - static_cast<std::size_t>(size.width)) / 2;

    Tensor result(DType::f32, {picture.dim(0), picture.dim(1), size.height, size.width});
    float* out = result.span<float>().data();
    const auto plane = static_cast<std::size_t>(height * width);
    const auto stride = static_cast<std::size_t>(width);
    for (std::size_t p = 0; p < static_cast<std::size_t>(picture.dim(0) * picture.dim(1)); ++p) {
        const float* source = picture.span<float>().data() + p * plane;
        for (std::size_t y = top; y < top + static_cast<std::size_t>(size.height); ++y) {
            const float* above = source + rows[y].first * stride;
            const float* below = source + rows[y].second * stride;
            for (std::size_t x = left; x < left + static_cast<std::size_t>(size.width); ++x) {
                const auto& [first, second, share] = columns[x];
                const float upper = above[first] + share * (above[second] - above[first]);
                const float lower = below[first] + share * (below[second] - below[first]);
                *out++ = upper + rows[y].share * (lower - upper);
            }
        }
    }
    return result;
}

}  // namespace reprise::pipelines
