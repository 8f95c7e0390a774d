// Linear layers and convolutions.
#include <algorithm>
#include <vector>

#include "backends/reference/kernels.h"

namespace reprise::backends::reference {

void linear(const Call& call) {
    const std::int64_t outputs = call.shape(1)[0], inputs = call.shape(1)[1];
    const std::int64_t rows = element_count(call.node.shape) / outputs;
    // Several outputs at once, whose sums do not wait for each other.
    constexpr std::int64_t kOutputs = 8;
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t first = 0; first < outputs; first += kOutputs) {
            const std::int64_t count = std::min(kOutputs, outputs - first);
            const float* x = call.in(0) + r * inputs;
            const float* weight = call.in(1) + first * inputs;
            double sums[kOutputs] = {};
            if (call.has(2)) std::copy_n(call.in(2) + first, count, sums);
            if (count == kOutputs)
                for (std::int64_t i = 0; i < inputs; ++i)
                    for (std::int64_t o = 0; o < kOutputs; ++o)
                        sums[o] += static_cast<double>(x[i]) * weight[o * inputs + i];
            else
                for (std::int64_t o = 0; o < count; ++o)
                    for (std::int64_t i = 0; i < inputs; ++i)
                        sums[o] += static_cast<double>(x[i]) * weight[o * inputs + i];
            float* out = call.out() + r * outputs + first;
            for (std::int64_t o = 0; o < count; ++o) out[o] = static_cast<float>(sums[o]);
        }
}

namespace {

/// One spatial dimension of a convolution.
struct Extent {
    std::int64_t in = 1, out = 1, kernel = 1, stride = 1, padding = 0;

    std::int64_t source(std::int64_t position, std::int64_t tap) const {
        return position * stride + tap - padding;
    }
    /// The outputs [begin, end) for which a tap lies inside the input.
    std::int64_t begin(std::int64_t tap) const {
        return std::min(out, std::max<std::int64_t>(0, (padding - tap + stride - 1) / stride));
    }
    std::int64_t end(std::int64_t tap) const {
        const std::int64_t room = in - 1 + padding - tap;
        return room < 0 ? 0 : std::min(out, room / stride + 1);
    }
};

}  // namespace

void convolution(const Call& call) {
    const auto& attrs = call.node.attrs<graph::ConvolutionAttrs>();
    const Shape& weight = call.shape(1);
    Extent extents[3];  // depth, height, width; two dimensions are three with a depth of one
    const std::size_t spatial = attrs.stride.size();
    for (std::size_t d = 0; d < spatial; ++d)
        extents[3 - spatial + d] = {call.shape(0)[d + 2], call.node.shape[d + 2], weight[d + 2],
                                    attrs.stride[d], attrs.pad_begin[d]};
    const auto& [depth, height, width] = extents;

    const std::int64_t batch = call.shape(0)[0], channels = call.shape(0)[1];
    const std::int64_t outputs = weight[0], inputs = weight[1];
    const std::int64_t plane_in = depth.in * height.in * width.in;
    const std::int64_t plane_out = depth.out * height.out * width.out;
    std::vector<double> sums(static_cast<std::size_t>(plane_out));
    for (std::int64_t bo = 0; bo < batch * outputs; ++bo) {
        const std::int64_t b = bo / outputs, o = bo % outputs;
        const std::int64_t first = o / (outputs / attrs.groups) * inputs;
        std::fill(sums.begin(), sums.end(), call.has(2) ? static_cast<double>(call.in(2)[o]) : 0.0);
        const float* tap = call.in(1) + o * inputs * depth.kernel * height.kernel * width.kernel;
        for (std::int64_t i = 0; i < inputs; ++i) {
            const float* x = call.in(0) + (b * channels + first + i) * plane_in;
            for (std::int64_t kd = 0; kd < depth.kernel; ++kd)
                for (std::int64_t kh = 0; kh < height.kernel; ++kh)
                    for (std::int64_t kw = 0; kw < width.kernel; ++kw, ++tap)
                        for (std::int64_t d = depth.begin(kd); d < depth.end(kd); ++d)
                            for (std::int64_t h = height.begin(kh); h < height.end(kh); ++h) {
                                const float* row =
                                    x + (depth.source(d, kd) * height.in + height.source(h, kh)) * width.in;
                                double* sum = sums.data() + (d * height.out + h) * width.out;
                                for (std::int64_t w = width.begin(kw); w < width.end(kw); ++w)
                                    sum[w] += static_cast<double>(*tap) * row[width.source(w, kw)];
                            }
        }
        for (std::int64_t p = 0; p < plane_out; ++p)
            call.out()[bo * plane_out + p] = static_cast<float>(sums[static_cast<std::size_t>(p)]);
    }
}

}  // namespace reprise::backends::reference
