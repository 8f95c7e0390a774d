#pragma once

#include <utility>
#include <vector>

#include "graph/graph.h"
#include "reprise/error.h"

namespace reprise::test {

/// A graph made node by node, for attributes that the builder's layers do not set. All nodes belong to a
/// module called `module_name`.
class RawGraph {
  public:
    explicit RawGraph(std::string module_name = "") {
        graph.name = "raw";
        graph.modules.emplace_back();
        graph.modules[0].name = std::move(module_name);
    }

    graph::NodeId add(graph::Op op, std::vector<graph::NodeId> inputs, graph::Attributes attributes = {}) {
        graph::Node node;
        node.op = op;
        node.inputs = std::move(inputs);
        node.attributes = std::move(attributes);
        infer(graph, node);
        graph.nodes.push_back(std::move(node));
        return static_cast<graph::NodeId>(graph.nodes.size() - 1);
    }
    graph::NodeId input(const Shape& shape, DType type = DType::f32) {
        const auto name = fmt::format("x{}", graph.inputs.size());
        graph.inputs.push_back(add(graph::Op::input, {}, graph::InputAttrs{name, type, shape}));
        return graph.inputs.back();
    }
    /// An f32 input converted to `precision`.
    graph::NodeId real_input(const Shape& shape, DType precision) {
        const auto id = input(shape);
        if (precision == DType::f32) return id;
        return add(graph::Op::convert, {id}, graph::ConvertAttrs{precision});
    }
    /// A constant that has no value yet.
    graph::NodeId constant(const Shape& shape, DType type) {
        const auto name = fmt::format("c{}", graph.nodes.size());
        return add(graph::Op::constant, {}, graph::ConstantAttrs{name, {}, type, shape, false});
    }
    void output(graph::NodeId id) { graph.outputs.push_back({fmt::format("y{}", graph.outputs.size()), id}); }

    graph::Graph graph;
};

}  // namespace reprise::test
