#pragma once

#include <cstdint>
#include <span>

#include "graph/graph.h"

namespace reprise::backends::reference {

/// One node about to be computed. Values of floating type are held as floats, rounded to the node's type;
/// i64 values as they are. Kernels compute each element in f64 from the stored inputs, in one fixed order,
/// and round once to f32; the caller rounds on to the node's type.
struct Call {
    const graph::Graph& graph;
    const graph::Node& node;
    std::span<void* const> values;  ///< by node id
    void* result;

    const Shape& shape(std::size_t i) const { return graph[node.inputs[i]].shape; }
    bool has(std::size_t i) const { return i < node.inputs.size(); }
    template <class T = float>
    const T* in(std::size_t i) const {
        return static_cast<const T*>(values[static_cast<std::size_t>(node.inputs[i])]);
    }
    template <class T = float>
    T* out() const {
        return static_cast<T*>(result);
    }
};

void convert(const Call& call);
void convolution(const Call& call);
void linear(const Call& call);
void group_norm(const Call& call);
void layer_norm(const Call& call);
void rms_norm(const Call& call);
void unary(const Call& call);
void binary(const Call& call);
void affine(const Call& call);
void attention(const Call& call);
void softmax(const Call& call);

// Movement: for floats and i64 alike.
void concat(const Call& call);
void slice(const Call& call);
void repeat(const Call& call);
void transpose(const Call& call);
void pad(const Call& call);
void upsample_nearest(const Call& call);
void gather(const Call& call);

/// The sizes before, at and after an axis: element (o, i, n) of an array is at (o * size + i) * inner + n.
struct Axis {
    std::int64_t outer = 1, size = 1, inner = 1;

    Axis(const Shape& shape, std::int64_t axis) {
        for (std::size_t d = 0; d < shape.size(); ++d) {
            auto& part = static_cast<std::int64_t>(d) < axis    ? outer
                         : static_cast<std::int64_t>(d) == axis ? size
                                                                : inner;
            part *= shape[d];
        }
    }
};

}  // namespace reprise::backends::reference
