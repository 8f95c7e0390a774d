#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "graph/graph.h"
#include "openvino/openvino.hpp"

namespace reprise::backends {

/// OpenVINO's name of an element type.
ov::element::Type to_openvino(DType type);
ov::Shape to_openvino(const Shape& shape);

/// A graph as an OpenVINO model, with what OpenVINO is not asked to do: an output that is an input, a
/// constant or an earlier output is copied by the request, and an input that nobody reads is no parameter.
struct Lowered {
    /// Where the value of an output comes from.
    struct Output {
        enum class Source { model, input, constant, output } source = Source::model;
        std::size_t index = 0;  ///< of the model's result, the graph's input or the graph's output
        Tensor constant;
    };

    std::shared_ptr<ov::Model> model;                    ///< null when nothing is to be computed
    std::vector<std::optional<std::size_t>> parameters;  ///< by graph input: index of the model's parameter
    std::vector<Output> outputs;                         ///< by graph output
};

/// Constants share the graph's memory and keep it alive. Error (failure) for a graph without weights.
Lowered lower(const graph::Graph& graph);

}  // namespace reprise::backends
