// Operations in terms of OpenVINO's, in the forms that its CPU plugin fuses.
#include "backends/openvino/emit.h"

#include <cmath>

#include "backends/nearest.h"
#include "backends/openvino/lowering.h"
#include "openvino/opsets/opset13.hpp"
#include "reprise/error.h"

namespace reprise::backends {

namespace op = ov::opset13;
using graph::Op;
using Value = ov::Output<ov::Node>;

namespace {

template <class T, class... Args>
Value make(Args&&... args) {
    return std::make_shared<T>(std::forward<Args>(args)...)->output(0);
}

ov::Strides to_strides(const std::vector<std::int64_t>& values) {
    return {values.begin(), values.end()};
}
/// x in f32, where constants are not rounded to the graph's type.
Value widened(const Value& x) {
    return x.get_element_type() == ov::element::f32 ? x : make<op::Convert>(x, ov::element::f32);
}
Value narrowed(const Value& x, const ov::element::Type& type) {
    return x.get_element_type() == type ? x : make<op::Convert>(x, type);
}

/// x * scale + shift, with the numbers as they are even where the type of x cannot hold them.
Value scaled_and_shifted(const Value& x, float scale, float shift) {
    const auto type = x.get_element_type();
    const auto is_exact = [&](float value) {
        return type == ov::element::bf16 ? static_cast<float>(ov::bfloat16(value)) == value
                                         : static_cast<float>(ov::float16(value)) == value;
    };
    const bool wide = type != ov::element::f32 && !(is_exact(scale) && is_exact(shift));
    Value result = wide ? widened(x) : x;
    if (scale != 1) result = make<op::Multiply>(result, scalar_like(result, scale));
    if (shift != 0) result = make<op::Add>(result, scalar_like(result, shift));
    return narrowed(result, type);
}

ov::CoordinateDiff to_difference(const std::vector<std::int64_t>& values) {
    return {values.begin(), values.end()};
}

}  // namespace

Value constant_over(const Tensor& tensor, const Shape& shape) {
    const auto owner = std::make_shared<Tensor>(tensor);
    return make<op::Constant>(to_openvino(tensor.type()), to_openvino(shape),
                              static_cast<const void*>(std::as_const(*owner).data()),
                              std::static_pointer_cast<void>(owner));
}

Value reshaped(const Value& value, const Shape& shape) {
    if (value.get_shape() == to_openvino(shape)) return value;
    return make<op::Reshape>(value, integers(shape), false);
}

Value transposed(const Value& value, const std::vector<std::int64_t>& permutation) {
    return make<op::Transpose>(value, integers(permutation));
}

Value integers(const std::vector<std::int64_t>& values) {
    return make<op::Constant>(ov::element::i64, ov::Shape{values.size()}, values);
}

Value scalar_like(const Value& like, float value) {
    return make<op::Constant>(like.get_element_type(), ov::Shape{}, std::vector<float>{value});
}

Value Emission::in_as(std::size_t i, const Shape& shape) const {
    if (source(i).op == Op::constant)
        return constant_over(source(i).attrs<graph::ConstantAttrs>().value, shape);
    return reshaped(in(i), shape);
}

Value emit_convolution(const Emission& e) {
    const auto& attrs = e.node.attrs<graph::ConvolutionAttrs>();
    const auto stride = to_strides(attrs.stride);
    const auto begin = to_difference(attrs.pad_begin), end = to_difference(attrs.pad_end);
    const ov::Strides dilation(stride.size(), 1);
    Value result;
    if (attrs.groups == 1) {
        result = make<op::Convolution>(e.in(0), e.in(1), stride, begin, end, dilation);
    } else {
        Shape weight = e.shape(1);
        weight[0] /= attrs.groups;
        weight.insert(weight.begin(), attrs.groups);
        result = make<op::GroupConvolution>(e.in(0), e.in_as(1, weight), stride, begin, end, dilation);
    }
    if (e.count() < 3) return result;
    Shape bias(e.node.shape.size(), 1);
    bias[1] = e.node.shape[1];
    return make<op::Add>(result, e.in_as(2, bias));
}

Value emit_linear(const Emission& e) {
    const Value product = make<op::MatMul>(e.in(0), e.in(1), false, true);
    return e.count() < 3 ? product : make<op::Add>(product, e.in(2));
}

Value emit_linear_rows(const Emission& e, const graph::SliceAttrs& slice) {
    const auto rows = [&](std::size_t i) {
        const Tensor part = e.source(i).attrs<graph::ConstantAttrs>().value.rows(slice.begin, slice.end);
        return constant_over(part, part.shape());
    };
    const Value product = make<op::MatMul>(e.in(0), rows(1), false, true);
    return e.count() < 3 ? product : make<op::Add>(product, rows(2));
}

Value emit_group_norm(const Emission& e) {
    const auto& attrs = e.node.attrs<graph::NormAttrs>();
    Shape picture = e.node.shape;
    if (picture.size() == 2) picture.push_back(1);  // the plugin wants a spatial dimension
    const Value result = make<op::GroupNormalization>(reshaped(e.in(0), picture), e.in(1), e.in(2),
                                                      attrs.groups, attrs.epsilon);
    return reshaped(result, e.node.shape);
}

Value emit_layer_norm(const Emission& e) {
    const float epsilon = e.node.attrs<graph::NormAttrs>().epsilon;
    Value result = make<op::MVN>(e.in(0), integers({-1}), true, epsilon, ov::op::MVNEpsMode::INSIDE_SQRT);
    if (e.count() > 1) result = make<op::Multiply>(result, e.in(1));
    if (e.count() > 2) result = make<op::Add>(result, e.in(2));
    return result;
}

/// The form that becomes one RMS node. In f32: squares need its range.
Value emit_rms_norm(const Emission& e) {
    const Value x = widened(e.in(0));
    const Value squares = make<op::Power>(x, scalar_like(x, 2));
    const Value mean = make<op::ReduceMean>(squares, integers({-1}), true);
    const Value shifted = make<op::Add>(mean, scalar_like(x, e.node.attrs<graph::NormAttrs>().epsilon));
    const Value factor = make<op::Divide>(scalar_like(x, 1), make<op::Sqrt>(shifted));
    Value result = make<op::Multiply>(x, factor);
    if (e.count() > 1) result = make<op::Multiply>(result, widened(e.in(1)));
    return narrowed(result, e.in(0).get_element_type());
}

Value emit_unary(const Emission& e) {
    using graph::Unary;
    const Value x = e.in(0);
    switch (e.node.attrs<graph::UnaryAttrs>().function) {
        case Unary::silu:
            return make<op::Swish>(x);
        case Unary::gelu:
            return make<op::Gelu>(x, ov::op::GeluApproximationMode::ERF);
        case Unary::gelu_tanh:
            return make<op::Gelu>(x, ov::op::GeluApproximationMode::TANH);
        case Unary::quick_gelu:
            return make<op::Swish>(x, scalar_like(x, 1.702F));
        case Unary::sigmoid:
            return make<op::Sigmoid>(x);
        case Unary::tanh:
            return make<op::Tanh>(x);
        case Unary::relu:
            return make<op::Relu>(x);
    }
    failure("{}: unknown elementwise function", e.graph.name);
}

Value emit_binary(const Emission& e) {
    using graph::Binary;
    switch (e.node.attrs<graph::BinaryAttrs>().function) {
        case Binary::add:
            return make<op::Add>(e.in(0), e.in(1));
        case Binary::subtract:
            return make<op::Subtract>(e.in(0), e.in(1));
        case Binary::multiply:
            return make<op::Multiply>(e.in(0), e.in(1));
        case Binary::divide:
            return make<op::Divide>(e.in(0), e.in(1));
    }
    failure("{}: unknown arithmetic", e.graph.name);
}

Value emit_affine(const Emission& e) {
    const auto& attrs = e.node.attrs<graph::AffineAttrs>();
    return scaled_and_shifted(e.in(0), attrs.scale, attrs.shift);
}

Value emit_attention(const Emission& e) {
    const auto& attrs = e.node.attrs<graph::AttentionAttrs>();
    const auto heads_first = [&](const Value& x, const Shape& shape) {
        return transposed(reshaped(x, {shape[0], shape[1], attrs.heads, shape[2] / attrs.heads}),
                          {0, 2, 1, 3});
    };
    const Value q = heads_first(scaled_and_shifted(e.in(0), attrs.scale, 0), e.shape(0));
    const Value k = heads_first(e.in(1), e.shape(1)), v = heads_first(e.in(2), e.shape(2));
    Value result;
    if (attrs.causal) {
        const Value bias = e.count() > 3 ? e.in(3) : scalar_like(q, 0);
        result = make<op::ScaledDotProductAttention>(q, k, v, bias, scalar_like(q, 1), true);
    } else {
        // What the CPU plugin fuses into one kernel. The operation ScaledDotProductAttention comes to the
        // same there, but scales all scores instead of the queries.
        Value scores = make<op::MatMul>(q, k, false, true);
        if (e.count() > 3) scores = make<op::Add>(scores, e.in(3));
        result = make<op::MatMul>(make<op::Softmax>(scores, 3), v, false, false);
    }
    return reshaped(transposed(result, {0, 2, 1, 3}), e.node.shape);
}

Value emit_repeat(const Emission& e) {
    const auto& attrs = e.node.attrs<graph::RepeatAttrs>();
    Shape apart = e.shape(0);
    const auto after = static_cast<Shape::difference_type>(attrs.axis + 1);
    apart.insert(apart.begin() + after, 1);
    Shape repeated = apart;
    repeated[static_cast<std::size_t>(after)] = attrs.times;
    return reshaped(make<op::Broadcast>(reshaped(e.in(0), apart), integers(repeated)), e.node.shape);
}

namespace {

/// Whether OpenVINO's own index rule gives the same pixels.
bool interpolates_alike(std::int64_t in, std::int64_t out) {
    const float scale = static_cast<float>(out) / static_cast<float>(in);
    for (std::int64_t i = 0; i < out; ++i)
        if (static_cast<std::int64_t>(std::floor(static_cast<float>(i) / scale)) !=
            nearest_source(i, in, out))
            return false;
    return true;
}

Value gather_nearest(const Value& x, std::int64_t axis, std::int64_t in, std::int64_t out) {
    std::vector<std::int64_t> indices;
    for (std::int64_t i = 0; i < out; ++i) indices.push_back(nearest_source(i, in, out));
    return make<op::Gather>(x, integers(indices), integers({axis}));
}

}  // namespace

Value emit_upsample(const Emission& e) {
    const auto& attrs = e.node.attrs<graph::UpsampleAttrs>();
    const Shape& shape = e.shape(0);
    const std::int64_t height = shape[shape.size() - 2], width = shape[shape.size() - 1];
    // The plugin's resampling wants four dimensions.
    const Value picture =
        shape.size() == 4 ? e.in(0)
                          : reshaped(e.in(0), {1, element_count(shape) / (height * width), height, width});
    Value result;
    if (interpolates_alike(height, attrs.height) && interpolates_alike(width, attrs.width)) {
        op::Interpolate::InterpolateAttrs options;
        options.mode = op::Interpolate::InterpolateMode::NEAREST;
        options.shape_calculation_mode = op::Interpolate::ShapeCalcMode::SIZES;
        options.coordinate_transformation_mode = op::Interpolate::CoordinateTransformMode::ASYMMETRIC;
        options.nearest_mode = op::Interpolate::NearestMode::FLOOR;
        result =
            make<op::Interpolate>(picture, integers({attrs.height, attrs.width}), integers({2, 3}), options);
    } else {
        result = gather_nearest(gather_nearest(picture, 2, height, attrs.height), 3, width, attrs.width);
    }
    return shape.size() == 4 ? result : reshaped(result, e.node.shape);
}

}  // namespace reprise::backends
