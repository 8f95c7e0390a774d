#include "media/metrics.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "reprise/error.h"

namespace reprise {

namespace {

constexpr int kRadius = 5;
constexpr int kWindow = 2 * kRadius + 1;

void check_sizes(const Image& a, const Image& b) {
    if (a.empty() || a.width() != b.width() || a.height() != b.height())
        failure("cannot compare a picture of {}x{} pixels with one of {}x{}", a.width(), a.height(),
                b.width(), b.height());
}

std::array<double, kWindow> gaussian() {
    constexpr double kSigma = 1.5;
    std::array<double, kWindow> weights{};
    double sum = 0;
    for (int i = 0; i < kWindow; ++i) {
        const double x = i - kRadius;
        weights[static_cast<std::size_t>(i)] = std::exp(-0.5 * x * x / (kSigma * kSigma));
        sum += weights[static_cast<std::size_t>(i)];
    }
    for (auto& weight : weights) weight /= sum;
    return weights;
}

/// The five local moments that SSIM is made of: means of x, y, x * x, y * y, x * y.
using Moments = std::array<double, 5>;

/// Mean SSIM of one channel. Rows are filtered across once and then kept for as long as a window needs them.
double channel_ssim(const Image& a, const Image& b, std::size_t channel) {
    const auto weights = gaussian();
    const auto height = static_cast<std::size_t>(a.height());
    const std::size_t across = static_cast<std::size_t>(a.width()) - kWindow + 1;
    std::vector<std::vector<Moments>> rows(kWindow, std::vector<Moments>(across));
    const double c1 = 0.01 * 255 * 0.01 * 255;
    const double c2 = 0.03 * 255 * 0.03 * 255;
    double sum = 0;
    for (std::size_t y = 0; y < height; ++y) {
        const auto row_a = a.at(0, static_cast<int>(y)).data();
        const auto row_b = b.at(0, static_cast<int>(y)).data();
        auto& filtered = rows[y % kWindow];
        for (std::size_t x = 0; x < across; ++x) {
            Moments moments{};
            for (std::size_t i = 0; i < kWindow; ++i) {
                const double va = row_a[(x + i) * 3 + channel];
                const double vb = row_b[(x + i) * 3 + channel];
                moments[0] += weights[i] * va;
                moments[1] += weights[i] * vb;
                moments[2] += weights[i] * va * va;
                moments[3] += weights[i] * vb * vb;
                moments[4] += weights[i] * va * vb;
            }
            filtered[x] = moments;
        }
        if (y + 1 < kWindow) continue;
        for (std::size_t x = 0; x < across; ++x) {
            Moments m{};
            for (std::size_t i = 0; i < kWindow; ++i) {
                const auto& row = rows[(y + 1 + i) % kWindow][x];  // y - 10 + i
                for (std::size_t k = 0; k < m.size(); ++k) m[k] += weights[i] * row[k];
            }
            const double variance_a = m[2] - m[0] * m[0];
            const double variance_b = m[3] - m[1] * m[1];
            const double covariance = m[4] - m[0] * m[1];
            sum += (2 * m[0] * m[1] + c1) * (2 * covariance + c2) /
                   ((m[0] * m[0] + m[1] * m[1] + c1) * (variance_a + variance_b + c2));
        }
    }
    return sum / static_cast<double>(across * (height - kWindow + 1));
}

}  // namespace

double psnr(const Image& a, const Image& b) {
    check_sizes(a, b);
    double squares = 0;
    for (std::size_t i = 0; i < a.pixels().size(); ++i) {
        const double difference = static_cast<double>(a.pixels()[i]) - static_cast<double>(b.pixels()[i]);
        squares += difference * difference;
    }
    if (squares == 0) return std::numeric_limits<double>::infinity();
    return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.pixels().size()) / squares);
}

double ssim(const Image& a, const Image& b) {
    check_sizes(a, b);
    if (a.width() < kWindow || a.height() < kWindow)
        failure("SSIM needs pictures of at least {0}x{0} pixels, found {1}x{2}", kWindow, a.width(),
                a.height());
    return (channel_ssim(a, b, 0) + channel_ssim(a, b, 1) + channel_ssim(a, b, 2)) / 3;
}

double relative_error(const Tensor& a, const Tensor& b) {
    if (a.shape() != b.shape())
        failure("cannot compare a tensor of shape {} with one of {}", to_string(a.shape()),
                to_string(b.shape()));
    const Tensor wide_a = a.to(DType::f32);
    const Tensor wide_b = b.to(DType::f32);
    const auto values_a = wide_a.span<float>();
    const auto values_b = wide_b.span<float>();
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < values_a.size(); ++i) {
        const double difference = double{values_a[i]} - double{values_b[i]};
        error += difference * difference;
        norm += double{values_b[i]} * double{values_b[i]};
    }
    return error == 0 ? 0 : std::sqrt(error / norm);
}

}  // namespace reprise
