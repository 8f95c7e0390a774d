#include "media/image_resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "reprise/error.h"

namespace reprise {

namespace {

/// What one output pixel is made of along an axis: weights of the inputs from `begin` on.
template <class T>
struct Taps {
    std::size_t begin = 0;
    std::vector<T> weights;
};

constexpr int kLanczosLobes = 3;

double lanczos(double x) {
    const auto sinc = [](double value) {
        return value == 0 ? 1.0 : std::sin(value * std::numbers::pi) / (value * std::numbers::pi);
    };
    return std::abs(x) < kLanczosLobes ? sinc(x) * sinc(x / kLanczosLobes) : 0.0;
}

/// Weights are whole numbers of 1 / 2^kFixedBits, so that sums of 8-bit pixels fit 32 bits.
constexpr int kFixedBits = 32 - 8 - 2;

std::vector<Taps<std::int32_t>> lanczos_taps(int from, int to) {
    const double scale = static_cast<double>(from) / to;
    const double stretch = std::max(scale, 1.0);
    const double support = kLanczosLobes * stretch;
    std::vector<Taps<std::int32_t>> result;
    for (int i = 0; i < to; ++i) {
        const double center = (i + 0.5) * scale;
        const int begin = std::max(0, static_cast<int>(center - support + 0.5));
        const int end = std::min(from, static_cast<int>(center + support + 0.5));
        std::vector<double> weights;
        double sum = 0;
        for (int x = begin; x < end; ++x) {
            weights.push_back(lanczos((x - center + 0.5) / stretch));
            sum += weights.back();
        }
        auto& taps = result.emplace_back();
        taps.begin = static_cast<std::size_t>(begin);
        for (const double weight : weights)
            taps.weights.push_back(static_cast<std::int32_t>(std::round(weight / sum * (1 << kFixedBits))));
    }
    return result;
}

std::uint8_t rounded(std::int32_t sum) {
    return static_cast<std::uint8_t>(std::clamp(sum >> kFixedBits, 0, 255));
}

Image resized_across(const Image& image, int width) {
    const auto taps = lanczos_taps(image.width(), width);
    Image result(width, image.height());
    for (int y = 0; y < image.height(); ++y) {
        const auto row =
            image.pixels().subspan(static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width()) * 3);
        for (int x = 0; x < width; ++x) {
            const auto& [begin, weights] = taps[static_cast<std::size_t>(x)];
            for (std::size_t channel = 0; channel < 3; ++channel) {
                std::int32_t sum = 1 << (kFixedBits - 1);
                for (std::size_t t = 0; t < weights.size(); ++t)
                    sum += weights[t] * row[(begin + t) * 3 + channel];
                result.at(x, y)[channel] = rounded(sum);
            }
        }
    }
    return result;
}

Image resized_down(const Image& image, int height) {
    const auto taps = lanczos_taps(image.height(), height);
    const std::size_t stride = static_cast<std::size_t>(image.width()) * 3;
    Image result(image.width(), height);
    std::vector<std::int32_t> sums(stride);
    for (int y = 0; y < height; ++y) {
        const auto& [begin, weights] = taps[static_cast<std::size_t>(y)];
        std::fill(sums.begin(), sums.end(), 1 << (kFixedBits - 1));
        for (std::size_t t = 0; t < weights.size(); ++t) {
            const auto row = image.pixels().subspan((begin + t) * stride, stride);
            for (std::size_t i = 0; i < stride; ++i) sums[i] += weights[t] * row[i];
        }
        std::transform(sums.begin(), sums.end(),
                       result.pixels().begin() + static_cast<std::ptrdiff_t>(stride) * y, rounded);
    }
    return result;
}

/// Lays `image` on black, its middle in the middle; what stands over is cut off.
Image centered(const Image& image, ImageSize size) {
    Image result(size.width, size.height);
    const int left = size.width / 2 - image.width() / 2;
    const int top = size.height / 2 - image.height() / 2;
    for (int y = std::max(0, top); y < std::min(size.height, top + image.height()); ++y)
        for (int x = std::max(0, left); x < std::min(size.width, left + image.width()); ++x) {
            const auto pixel = image.at(x - left, y - top);
            std::copy(pixel.begin(), pixel.end(), result.at(x, y).begin());
        }
    return result;
}

int scaled(int side, int by, int of) {
    return static_cast<int>(std::int64_t{side} * by / of);
}

/// The size that covers, or lies within, `size` with the picture's own proportions.
ImageSize proportional(const Image& image, ImageSize size, bool cover) {
    const double ratio = static_cast<double>(size.width) / size.height;
    const double own = static_cast<double>(image.width()) / image.height();
    const bool keep_width = cover ? ratio > own : ratio < own;
    const bool keep_height = cover ? ratio <= own : ratio >= own;
    return {keep_width ? size.width : scaled(image.width(), size.height, image.height()),
            keep_height ? size.height : scaled(image.height(), size.width, image.width())};
}

/// Keys' cubic with a = -0.75 for the four pixels around a place `t` behind the second.
std::array<float, 4> cubic_weights(float t) {
    constexpr float a = -0.75F;
    const auto near = [](float x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
    const auto far = [](float x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
    return {far(t + 1), near(t), near(1 - t), far(2 - t)};
}

/// A Gaussian of the width that shrinking `from` to `to` asks for, an odd number of weights.
std::vector<float> gaussian(int from, int to) {
    constexpr double kLeastDeviation = 0.001;
    const double deviation = std::max((static_cast<double>(from) / to - 1) / 2, kLeastDeviation);
    const int size = static_cast<int>(std::max(4 * deviation, 3.0)) | 1;
    const auto sigma = static_cast<float>(deviation);
    std::vector<float> weights;
    float sum = 0;
    for (int i = 0; i < size; ++i) {
        const auto x = static_cast<float>(i - size / 2);
        weights.push_back(std::exp(-(x * x) / (2 * sigma * sigma)));
        sum += weights.back();
    }
    for (float& weight : weights) weight /= sum;
    return weights;
}

/// Blur, with the picture mirrored at its edges, and interpolation in one.
std::vector<Taps<float>> antialiased_taps(int from, int to) {
    const auto blur = gaussian(from, to);
    const int radius = static_cast<int>(blur.size()) / 2;
    const float scale = to > 1 ? static_cast<float>(from - 1) / static_cast<float>(to - 1) : 0.0F;
    std::vector<Taps<float>> result;
    for (int i = 0; i < to; ++i) {
        const float place = scale * static_cast<float>(i);
        const int left = std::min(static_cast<int>(place), from - 1);
        const auto cubic = cubic_weights(place - static_cast<float>(left));
        const int begin = std::max(0, left - 1 - radius);
        const int end = std::min(from, left + 3 + radius);
        auto& taps = result.emplace_back();
        taps.begin = static_cast<std::size_t>(begin);
        taps.weights.assign(static_cast<std::size_t>(end - begin), 0.0F);
        for (int k = 0; k < 4; ++k) {
            const int middle = std::clamp(left - 1 + k, 0, from - 1);
            for (int j = -radius; j <= radius; ++j) {
                int x = std::abs(middle + j);
                if (x >= from) x = 2 * (from - 1) - x;
                x = std::clamp(x, begin, end - 1);  // one pixel has no mirror image
                taps.weights[static_cast<std::size_t>(x - begin)] +=
                    cubic[static_cast<std::size_t>(k)] * blur[static_cast<std::size_t>(j + radius)];
            }
        }
    }
    return result;
}

}  // namespace

Image resize_lanczos(const Image& image, ImageSize size) {
    const auto across = [&](const Image& from) {
        return size.width == from.width() ? from : resized_across(from, size.width);
    };
    const auto down = [&](const Image& from) {
        return size.height == from.height() ? from : resized_down(from, size.height);
    };
    // Pillow 13 shrinks before it widens; earlier releases always begin across.
    const bool down_first = size.width > image.width() && size.height < image.height();
    return down_first ? across(down(image)) : down(across(image));
}

Image fitted(const Image& image, ImageSize size, Fit fit) {
    if (fit == Fit::stretch) return resize_lanczos(image, size);
    ImageSize own = proportional(image, size, fit == Fit::crop);
    own = {std::clamp(own.width, 1, Image::kMaxSide), std::clamp(own.height, 1, Image::kMaxSide)};
    return centered(resize_lanczos(image, own), size);
}

Tensor to_chw(const Image& image) {
    Tensor result(DType::f32, {3, image.height(), image.width()});
    const auto values = result.span<float>();
    const std::size_t plane = values.size() / 3;
    for (std::size_t i = 0; i < plane; ++i)
        for (std::size_t channel = 0; channel < 3; ++channel)
            values[channel * plane + i] =
                2 * (static_cast<float>(image.pixels()[i * 3 + channel]) / 255.0F) - 1;
    return result;
}

Tensor resize_antialiased(const Tensor& picture, ImageSize size) {
    const auto channels = static_cast<std::size_t>(picture.dim(0));
    const auto height = static_cast<std::size_t>(picture.dim(1));
    const auto width = static_cast<std::size_t>(picture.dim(2));
    const auto across = antialiased_taps(static_cast<int>(width), size.width);
    const auto down = antialiased_taps(static_cast<int>(height), size.height);
    const auto out_width = static_cast<std::size_t>(size.width);

    Tensor result(DType::f32, {picture.dim(0), size.height, size.width});
    float* out = result.span<float>().data();
    std::vector<float> narrow(height * out_width);
    for (std::size_t c = 0; c < channels; ++c) {
        const auto plane = picture.span<float>().subspan(c * height * width, height * width);
        for (std::size_t y = 0; y < height; ++y)
            for (std::size_t x = 0; x < out_width; ++x) {
                float sum = 0;
                for (std::size_t t = 0; t < across[x].weights.size(); ++t)
                    sum += across[x].weights[t] * plane[y * width + across[x].begin + t];
                narrow[y * out_width + x] = sum;
            }
        for (const auto& [begin, weights] : down)
            for (std::size_t x = 0; x < out_width; ++x) {
                float sum = 0;
                for (std::size_t t = 0; t < weights.size(); ++t)
                    sum += weights[t] * narrow[(begin + t) * out_width + x];
                *out++ = sum;
            }
    }
    return result;
}

}  // namespace reprise
