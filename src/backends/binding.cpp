#include "backends/binding.h"

#include "reprise/error.h"

namespace reprise::backends {

namespace {

void check_count(const graph::Graph& graph, std::string_view what, std::size_t found, std::size_t expected) {
    if (found != expected) failure("{}: {} {}, expected {}", graph.name, found, what, expected);
}

void check(const graph::Graph& graph, std::string_view what, std::size_t i, const graph::Node& node,
           const Value& value) {
    if (value.type() != node.type || value.shape() != node.shape)
        failure("{}: {} {} is {} {}, expected {} {}", graph.name, what, i, name_of(value.type()),
                to_string(value.shape()), name_of(node.type), to_string(node.shape));
}

}  // namespace

void check_run(const graph::Graph& graph, std::span<const Value* const> inputs,
               std::span<Value* const> outputs) {
    check_count(graph, "inputs", inputs.size(), graph.inputs.size());
    check_count(graph, "outputs", outputs.size(), graph.outputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const graph::Node& node = graph[graph.inputs[i]];
        if (!inputs[i]->defined())
            failure("{}: input {} ('{}') has no value", graph.name, i, node.attrs<graph::InputAttrs>().name);
        check(graph, "input", i, node, *inputs[i]);
    }
    for (std::size_t i = 0; i < outputs.size(); ++i)
        if (outputs[i]->defined()) check(graph, "output", i, graph[graph.outputs[i].node], *outputs[i]);
}

void check_host_run(const graph::Graph& graph, std::span<const Value* const> inputs,
                    std::span<Value* const> outputs) {
    check_run(graph, inputs, outputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        if (outputs[i]->defined()) continue;
        const graph::Node& node = graph[graph.outputs[i].node];
        *outputs[i] = Value(Tensor(node.type, node.shape));
    }
}

void check_types(const graph::Graph& graph, DType precision) {
    for (const graph::Node& node : graph.nodes)
        if (node.op != graph::Op::input && node.op != graph::Op::convert &&
            (node.type == DType::bf16 || node.type == DType::f16) && node.type != precision)
            failure("{}: built in {}, but compiled for {}", graph.name, name_of(node.type),
                    name_of(precision));
}

}  // namespace reprise::backends
