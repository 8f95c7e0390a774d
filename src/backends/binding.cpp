#include "backends/binding.h"

#include "reprise/error.h"

namespace reprise::backends {

namespace {

void check(const graph::Graph& graph, std::string_view what, std::size_t i, const graph::Node& node,
           const Tensor& tensor) {
    if (!tensor.defined()) unbound(graph, what, i);
    if (tensor.type() != node.type || tensor.shape() != node.shape)
        failure("{}: {} {} is bound to {} {}, expected {} {}", graph.name, what, i, name_of(tensor.type()),
                to_string(tensor.shape()), name_of(node.type), to_string(node.shape));
}

}  // namespace

void check_input(const graph::Graph& graph, std::size_t i, const Tensor& tensor) {
    if (i >= graph.inputs.size())
        failure("{}: input {} is bound, but there are {}", graph.name, i, graph.inputs.size());
    check(graph, "input", i, graph[graph.inputs[i]], tensor);
}

void check_output(const graph::Graph& graph, std::size_t i, const Tensor& tensor) {
    if (i >= graph.outputs.size())
        failure("{}: output {} is bound, but there are {}", graph.name, i, graph.outputs.size());
    check(graph, "output", i, graph[graph.outputs[i].node], tensor);
}

void check_types(const graph::Graph& graph, DType precision) {
    for (const graph::Node& node : graph.nodes)
        if (node.op != graph::Op::input && node.op != graph::Op::convert &&
            (node.type == DType::bf16 || node.type == DType::f16) && node.type != precision)
            failure("{}: built in {}, but compiled for {}", graph.name, name_of(node.type),
                    name_of(precision));
}

void unbound(const graph::Graph& graph, std::string_view what, std::size_t i) {
    const std::string& name =
        what == "input" ? graph[graph.inputs[i]].attrs<graph::InputAttrs>().name : graph.outputs[i].name;
    failure("{}: {} {} ('{}') is not bound to a tensor", graph.name, what, i, name);
}

}  // namespace reprise::backends
