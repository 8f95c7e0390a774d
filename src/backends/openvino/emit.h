#pragma once

#include "graph/graph.h"
#include "openvino/openvino.hpp"

namespace reprise::backends {

/// One node about to be expressed in OpenVINO operations.
struct Emission {
    const graph::Graph& graph;
    const graph::Node& node;
    const std::vector<ov::Output<ov::Node>>& values;  ///< by node id

    std::size_t count() const { return node.inputs.size(); }
    const graph::Node& source(std::size_t i) const { return graph[node.inputs[i]]; }
    const Shape& shape(std::size_t i) const { return source(i).shape; }
    const ov::Output<ov::Node>& in(std::size_t i) const {
        return values[static_cast<std::size_t>(node.inputs[i])];
    }
    /// Input i under another shape: constants share their memory.
    ov::Output<ov::Node> in_as(std::size_t i, const Shape& shape) const;
};

/// A constant over the tensor's memory, which it keeps alive.
ov::Output<ov::Node> constant_over(const Tensor& tensor, const Shape& shape);
/// The value itself where it has that shape already.
ov::Output<ov::Node> reshaped(const ov::Output<ov::Node>& value, const Shape& shape);
ov::Output<ov::Node> transposed(const ov::Output<ov::Node>& value,
                                const std::vector<std::int64_t>& permutation);
/// An i64 constant of one dimension.
ov::Output<ov::Node> integers(const std::vector<std::int64_t>& values);
/// A constant of shape () in the element type of `like`.
ov::Output<ov::Node> scalar_like(const ov::Output<ov::Node>& like, float value);

ov::Output<ov::Node> emit_convolution(const Emission& e);
ov::Output<ov::Node> emit_linear(const Emission& e);
/// The outputs [begin, end) of a linear node with constant weights.
ov::Output<ov::Node> emit_linear_rows(const Emission& e, const graph::SliceAttrs& slice);
ov::Output<ov::Node> emit_group_norm(const Emission& e);
ov::Output<ov::Node> emit_layer_norm(const Emission& e);
ov::Output<ov::Node> emit_rms_norm(const Emission& e);
ov::Output<ov::Node> emit_unary(const Emission& e);
ov::Output<ov::Node> emit_binary(const Emission& e);
ov::Output<ov::Node> emit_affine(const Emission& e);
ov::Output<ov::Node> emit_attention(const Emission& e);
ov::Output<ov::Node> emit_repeat(const Emission& e);
ov::Output<ov::Node> emit_upsample(const Emission& e);

}  // namespace reprise::backends
