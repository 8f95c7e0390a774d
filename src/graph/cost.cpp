// The cost rule of every operation.
#include "graph/graph.h"

namespace reprise::graph {

namespace {

double elements(const Shape& shape) {
    return static_cast<double>(element_count(shape));
}

double flops_of(const Graph& graph, const Node& node) {
    const auto in = [&](std::size_t i) -> const Shape& { return graph[node.inputs.at(i)].shape; };
    const double out = elements(node.shape);
    switch (node.op) {
        case Op::convolution: {
            const Shape& weight = in(1);
            return 2 * out * elements(weight) / static_cast<double>(weight[0]);
        }
        case Op::linear:
            return 2 * out * static_cast<double>(in(1)[1]);
        case Op::attention: {
            const double scores = static_cast<double>(in(0)[0] * in(0)[1] * in(1)[1]);
            const double heads = static_cast<double>(node.attrs<AttentionAttrs>().heads);
            return 2 * scores * static_cast<double>(in(0)[2] + in(2)[2]) + 5 * scores * heads;
        }
        case Op::group_norm:
        case Op::layer_norm:
        case Op::rms_norm:
            return 8 * out;
        case Op::softmax:
            return 5 * out;
        case Op::unary:
            return 4 * out;
        case Op::binary:
            return out;
        case Op::affine:
            return 2 * out;
        default:
            return 0;
    }
}

}  // namespace

Cost cost_of(const Graph& graph, const Node& node) {
    Cost cost;
    if (node.op == Op::input || node.op == Op::constant || node.op == Op::module_output ||
        node.op == Op::reshape)
        return cost;
    cost.flops = flops_of(graph, node);
    cost.activation_bytes = elements(node.shape) * static_cast<double>(size_of(node.type));
    for (const NodeId id : node.inputs) {
        const Node& input = graph[id];
        const double bytes = elements(input.shape) * static_cast<double>(size_of(input.type));
        if (node.op == Op::gather && id == node.inputs[0])
            cost.activation_bytes += elements(node.shape) * static_cast<double>(size_of(input.type));
        else if (input.op == Op::constant)
            cost.weight_bytes += bytes;
        else
            cost.activation_bytes += bytes;
    }
    return cost;
}

Cost cost_of(const Graph& graph) {
    Cost total;
    for (const Node& node : graph.nodes) total += cost_of(graph, node);
    return total;
}

std::int64_t parameter_count(const Graph& graph, ModuleId module) {
    std::int64_t count = 0;
    for (const Node& node : graph.nodes)
        if (node.op == Op::constant && graph.is_within(node.module, module))
            count += element_count(node.shape);
    return count;
}

}  // namespace reprise::graph
