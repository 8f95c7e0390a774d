// Linear layers and convolutions.
#include <algorithm>
#include <vector>

#include "backends/reference/kernels.h"
#include "backends/reference/lanes.h"

namespace reprise::backends::reference {

namespace {

Lanes biases(const Call& call, std::int64_t first, std::int64_t lanes) {
    Lanes sums;
    if (call.has(2)) std::copy_n(call.in(2) + first, lanes, sums.sum);
    return sums;
}

}  // namespace

void linear(const Call& call) {
    const std::int64_t outputs = call.shape(1)[0], inputs = call.shape(1)[1];
    const std::int64_t rows = element_count(call.node.shape) / outputs;
    std::vector<double> weights(static_cast<std::size_t>(inputs * kLanes));
    for (std::int64_t first = 0; first < outputs; first += kLanes) {
        const std::int64_t lanes = std::min(kLanes, outputs - first);
        interleave({call.in(1) + first * inputs, lanes, inputs, inputs, 1}, weights.data());
        for (std::int64_t r = 0; r < rows; ++r) {
            const float* x = call.in(0) + r * inputs;
            Lanes sums = biases(call, first, lanes);
            for (std::int64_t i = 0; i < inputs; ++i) sums.add(x[i], weights.data() + i * kLanes);
            for (std::int64_t lane = 0; lane < lanes; ++lane)
                call.out()[r * outputs + first + lane] = static_cast<float>(sums.sum[lane]);
        }
    }
}

namespace {

/// One spatial dimension of a convolution.
struct Extent {
    std::int64_t in = 1, out = 1, kernel = 1, stride = 1, padding = 0;

    std::int64_t source(std::int64_t position, std::int64_t tap) const {
        return position * stride + tap - padding;
    }
    /// The taps [first_tap, end_tap) that lie inside the input.
    std::int64_t first_tap(std::int64_t position) const {
        return std::min(kernel, std::max<std::int64_t>(0, padding - position * stride));
    }
    std::int64_t end_tap(std::int64_t position) const {
        return std::max<std::int64_t>(0, std::min(kernel, in + padding - position * stride));
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
    const std::int64_t taps = inputs * depth.kernel * height.kernel * width.kernel;
    const std::int64_t group = outputs / attrs.groups;
    std::vector<double> weights(static_cast<std::size_t>(taps * kLanes));

    const auto at = [&](const float* image, Lanes& sums, std::int64_t d, std::int64_t h, std::int64_t w) {
        for (std::int64_t i = 0; i < inputs; ++i)
            for (std::int64_t kd = depth.first_tap(d); kd < depth.end_tap(d); ++kd)
                for (std::int64_t kh = height.first_tap(h); kh < height.end_tap(h); ++kh) {
                    const float* row = image + i * plane_in +
                                       (depth.source(d, kd) * height.in + height.source(h, kh)) * width.in;
                    const std::int64_t tap = ((i * depth.kernel + kd) * height.kernel + kh) * width.kernel;
                    for (std::int64_t kw = width.first_tap(w); kw < width.end_tap(w); ++kw)
                        sums.add(row[width.source(w, kw)], weights.data() + (tap + kw) * kLanes);
                }
    };
    for (std::int64_t first = 0, lanes = 0; first < outputs; first += lanes) {
        lanes = std::min(kLanes, group - first % group);
        interleave({call.in(1) + first * taps, lanes, taps, taps, 1}, weights.data());
        const Lanes bias = biases(call, first, lanes);
        for (std::int64_t b = 0; b < batch; ++b) {
            const float* image = call.in(0) + (b * channels + first / group * inputs) * plane_in;
            float* out = call.out() + (b * outputs + first) * plane_out;
            for (std::int64_t d = 0; d < depth.out; ++d)
                for (std::int64_t h = 0; h < height.out; ++h)
                    for (std::int64_t w = 0; w < width.out; ++w, ++out) {
                        Lanes sums = bias;
                        at(image, sums, d, h, w);
                        for (std::int64_t lane = 0; lane < lanes; ++lane)
                            out[lane * plane_out] = static_cast<float>(sums.sum[lane]);
                    }
        }
    }
}

}  // namespace reprise::backends::reference
