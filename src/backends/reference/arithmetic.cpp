// Elementwise operations, norms, softmax and attention.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include "backends/reference/kernels.h"
#include "backends/reference/lanes.h"

namespace reprise::backends::reference {

using graph::Binary;
using graph::Unary;

void convert(const Call& call) {
    const std::int64_t count = element_count(call.node.shape);
    const bool from_int = call.graph[call.node.inputs[0]].type == DType::i64;
    const bool to_int = call.node.type == DType::i64;
    for (std::int64_t i = 0; i < count; ++i) {
        if (from_int && to_int)
            call.out<std::int64_t>()[i] = call.in<std::int64_t>(0)[i];
        else if (from_int)
            call.out()[i] = static_cast<float>(call.in<std::int64_t>(0)[i]);
        else if (to_int)
            call.out<std::int64_t>()[i] = static_cast<std::int64_t>(call.in(0)[i]);
        else
            call.out()[i] = call.in(0)[i];
    }
}

namespace {

double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

double evaluate(Unary function, double x) {
    switch (function) {
        case Unary::silu:
            return x * sigmoid(x);
        case Unary::gelu:
            return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
        case Unary::gelu_tanh:
            return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
        case Unary::quick_gelu:
            return x * sigmoid(1.702 * x);
        case Unary::sigmoid:
            return sigmoid(x);
        case Unary::tanh:
            return std::tanh(x);
        case Unary::relu:
            return x > 0 ? x : 0;
    }
    return x;
}

double evaluate(Binary function, double a, double b) {
    switch (function) {
        case Binary::add:
            return a + b;
        case Binary::subtract:
            return a - b;
        case Binary::multiply:
            return a * b;
        case Binary::divide:
            return a / b;
    }
    return a;
}

/// Strides with which `shape` is read while `result` is walked: 0 along broadcast axes.
std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& result) {
    std::vector<std::int64_t> strides(result.size(), 0);
    std::int64_t stride = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
        if (shape[d] != 1) strides[d + result.size() - shape.size()] = stride;
        stride *= shape[d];
    }
    return strides;
}

/// std::exp, without the long way that it goes to zero.
double exponential(double x) {
    constexpr double kLeast = -746;  // below it the result rounds to zero
    return x < kLeast ? 0 : std::exp(x);
}

/// Softmax of numbers that are `stride` apart, as many as `powers` has room for.
void softmax_line(const float* from, float* to, std::int64_t stride, std::span<double> powers) {
    const auto count = static_cast<std::int64_t>(powers.size());
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t i = 0; i < count; ++i)
        largest = std::max(largest, static_cast<double>(from[i * stride]));
    double sum = 0;
    for (double& power : powers) {
        power = exponential(*from - largest);
        sum += power;
        from += stride;
    }
    for (std::int64_t i = 0; i < count; ++i)
        to[i * stride] = static_cast<float>(powers[static_cast<std::size_t>(i)] / sum);
}

struct Moments {
    double mean = 0, variance = 0;
};

Moments moments(const float* values, std::int64_t count) {
    Moments result;
    for (std::int64_t i = 0; i < count; ++i) result.mean += values[i];
    result.mean /= static_cast<double>(count);
    for (std::int64_t i = 0; i < count; ++i) {
        const double difference = values[i] - result.mean;
        result.variance += difference * difference;
    }
    result.variance /= static_cast<double>(count);
    return result;
}

}  // namespace

void unary(const Call& call) {
    const auto function = call.node.attrs<graph::UnaryAttrs>().function;
    const std::int64_t count = element_count(call.node.shape);
    for (std::int64_t i = 0; i < count; ++i)
        call.out()[i] = static_cast<float>(evaluate(function, call.in(0)[i]));
}

void binary(const Call& call) {
    const auto function = call.node.attrs<graph::BinaryAttrs>().function;
    const Shape& shape = call.node.shape;
    const std::int64_t count = element_count(shape);
    if (call.shape(0) == call.shape(1)) {
        for (std::int64_t i = 0; i < count; ++i)
            call.out()[i] = static_cast<float>(evaluate(function, call.in(0)[i], call.in(1)[i]));
        return;
    }
    const auto strides_a = broadcast_strides(call.shape(0), shape);
    const auto strides_b = broadcast_strides(call.shape(1), shape);
    std::vector<std::int64_t> index(shape.size(), 0);
    for (std::int64_t i = 0; i < count; ++i) {
        std::int64_t a = 0, b = 0;
        for (std::size_t d = 0; d < shape.size(); ++d) {
            a += index[d] * strides_a[d];
            b += index[d] * strides_b[d];
        }
        call.out()[i] = static_cast<float>(evaluate(function, call.in(0)[a], call.in(1)[b]));
        for (std::size_t d = shape.size(); d-- > 0;) {
            if (++index[d] < shape[d]) break;
            index[d] = 0;
        }
    }
}

void affine(const Call& call) {
    const auto& attrs = call.node.attrs<graph::AffineAttrs>();
    const double scale = attrs.scale, shift = attrs.shift;
    const std::int64_t count = element_count(call.node.shape);
    for (std::int64_t i = 0; i < count; ++i)
        call.out()[i] = static_cast<float>(call.in(0)[i] * scale + shift);
}

void group_norm(const Call& call) {
    const auto& attrs = call.node.attrs<graph::NormAttrs>();
    const Shape& shape = call.shape(0);
    const std::int64_t channels = shape[1] / attrs.groups;
    const Axis axis(shape, 1);
    for (std::int64_t group = 0; group < axis.outer * attrs.groups; ++group) {
        const std::int64_t begin = group * channels * axis.inner;
        const Moments m = moments(call.in(0) + begin, channels * axis.inner);
        const double factor = 1 / std::sqrt(m.variance + attrs.epsilon);
        for (std::int64_t i = 0; i < channels * axis.inner; ++i) {
            const std::int64_t channel = group % attrs.groups * channels + i / axis.inner;
            const double normal = (call.in(0)[begin + i] - m.mean) * factor;
            call.out()[begin + i] = static_cast<float>(normal * call.in(1)[channel] + call.in(2)[channel]);
        }
    }
}

void layer_norm(const Call& call) {
    const double epsilon = call.node.attrs<graph::NormAttrs>().epsilon;
    const std::int64_t width = call.node.shape.back();
    const std::int64_t count = element_count(call.node.shape);
    for (std::int64_t begin = 0; begin < count; begin += width) {
        const Moments m = moments(call.in(0) + begin, width);
        const double factor = 1 / std::sqrt(m.variance + epsilon);
        for (std::int64_t i = 0; i < width; ++i) {
            double value = (call.in(0)[begin + i] - m.mean) * factor;
            if (call.has(1)) value *= call.in(1)[i];
            if (call.has(2)) value += call.in(2)[i];
            call.out()[begin + i] = static_cast<float>(value);
        }
    }
}

void rms_norm(const Call& call) {
    const double epsilon = call.node.attrs<graph::NormAttrs>().epsilon;
    const std::int64_t width = call.node.shape.back();
    const std::int64_t count = element_count(call.node.shape);
    for (std::int64_t begin = 0; begin < count; begin += width) {
        double squares = 0;
        for (std::int64_t i = 0; i < width; ++i) {
            const double value = call.in(0)[begin + i];
            squares += value * value;
        }
        const double factor = 1 / std::sqrt(squares / static_cast<double>(width) + epsilon);
        for (std::int64_t i = 0; i < width; ++i) {
            const double weight = call.has(1) ? static_cast<double>(call.in(1)[i]) : 1.0;
            call.out()[begin + i] = static_cast<float>(call.in(0)[begin + i] * factor * weight);
        }
    }
}

void softmax(const Call& call) {
    const Axis axis(call.node.shape, call.node.attrs<graph::AxisAttrs>().axis);
    std::vector<double> powers(static_cast<std::size_t>(axis.size));
    for (std::int64_t o = 0; o < axis.outer; ++o)
        for (std::int64_t n = 0; n < axis.inner; ++n) {
            const std::int64_t begin = o * axis.size * axis.inner + n;
            softmax_line(call.in(0) + begin, call.out() + begin, axis.inner, powers);
        }
}

void attention(const Call& call) {
    const auto& attrs = call.node.attrs<graph::AttentionAttrs>();
    const std::int64_t batch = call.shape(0)[0], queries = call.shape(0)[1], keys = call.shape(1)[1];
    const std::int64_t heads = attrs.heads;
    const std::int64_t key_width = call.shape(0)[2] / heads, value_width = call.shape(2)[2] / heads;
    const auto bias_strides =
        call.has(3) ? broadcast_strides(call.shape(3), {batch, heads, queries, keys}) : Shape(4, 0);

    const auto in_lanes = [](std::int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; };
    const auto sized = [](std::int64_t count) { return static_cast<std::size_t>(count); };
    std::vector<float> scores(sized(keys));
    std::vector<double> powers(sized(keys));
    std::vector<double> k(sized(in_lanes(keys) * key_width));    // of one head: keys side by side
    std::vector<double> v(sized(in_lanes(value_width) * keys));  // and values
    for (std::int64_t b = 0; b < batch; ++b)
        for (std::int64_t h = 0; h < heads; ++h) {
            const std::int64_t k_stride = heads * key_width, v_stride = heads * value_width;
            const float* head_k = call.in(1) + b * keys * k_stride + h * key_width;
            const float* head_v = call.in(2) + b * keys * v_stride + h * value_width;
            for (std::int64_t j = 0; j < keys; j += kLanes)
                interleave({head_k + j * k_stride, std::min(kLanes, keys - j), key_width, k_stride, 1},
                           k.data() + j * key_width);
            for (std::int64_t d = 0; d < value_width; d += kLanes)
                interleave({head_v + d, std::min(kLanes, value_width - d), keys, 1, v_stride},
                           v.data() + d * keys);
            for (std::int64_t i = 0; i < queries; ++i) {
                const std::int64_t seen = attrs.causal ? std::min(i + 1, keys) : keys;
                const float* q = call.in(0) + ((b * queries + i) * heads + h) * key_width;
                for (std::int64_t first = 0; first < seen; first += kLanes) {
                    Lanes products;
                    for (std::int64_t d = 0; d < key_width; ++d)
                        products.add(q[d], k.data() + first * key_width + d * kLanes);
                    for (std::int64_t j = first; j < std::min(seen, first + kLanes); ++j) {
                        double score = products.sum[j - first] * attrs.scale;
                        if (call.has(3))
                            score += call.in(3)[b * bias_strides[0] + h * bias_strides[1] +
                                                i * bias_strides[2] + j * bias_strides[3]];
                        scores[sized(j)] = static_cast<float>(score);
                    }
                }
                softmax_line(scores.data(), scores.data(), 1, std::span(powers).first(sized(seen)));
                float* out = call.out() + ((b * queries + i) * heads + h) * value_width;
                for (std::int64_t first = 0; first < value_width; first += kLanes) {
                    Lanes sums;
                    for (std::int64_t j = 0; j < seen; ++j)
                        sums.add(scores[sized(j)], v.data() + first * keys + j * kLanes);
                    for (std::int64_t d = first; d < std::min(value_width, first + kLanes); ++d)
                        out[d] = static_cast<float>(sums.sum[d - first]);
                }
            }
        }
}

}  // namespace reprise::backends::reference
