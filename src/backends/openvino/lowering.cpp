#include "backends/openvino/lowering.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "backends/openvino/emit.h"
#include "openvino/opsets/opset13.hpp"
#include "reprise/error.h"

namespace reprise::backends {

namespace op = ov::opset13;
using graph::Graph;
using graph::Node;
using graph::NodeId;
using graph::Op;
using Value = ov::Output<ov::Node>;

ov::element::Type to_openvino(DType type) {
    switch (type) {
        case DType::f32:
            return ov::element::f32;
        case DType::f16:
            return ov::element::f16;
        case DType::bf16:
            return ov::element::bf16;
        case DType::f64:
            return ov::element::f64;
        case DType::i64:
            return ov::element::i64;
        case DType::i32:
            return ov::element::i32;
        case DType::i16:
            return ov::element::i16;
        case DType::i8:
            return ov::element::i8;
        case DType::u8:
            return ov::element::u8;
        case DType::boolean:
            return ov::element::boolean;
    }
    failure("unknown element type {}", static_cast<int>(type));
}

ov::Shape to_openvino(const Shape& shape) {
    return {shape.begin(), shape.end()};
}

namespace {

/// The linear layers of which only slices of the outputs are read, each part once, such as GEGLU's: each
/// slice becomes a layer of its own over rows of the weight, and nothing is cut apart afterwards.
std::vector<bool> split_linears(const Graph& graph) {
    std::vector<bool> result(graph.nodes.size(), false);
    const auto readers = consumers(graph);
    const auto is_constant = [&](NodeId id) { return graph[id].op == Op::constant; };
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node& node = graph.nodes[i];
        if (node.op != Op::linear || readers[i].size() < 2 ||
            !std::all_of(node.inputs.begin() + 1, node.inputs.end(), is_constant))
            continue;
        std::int64_t width = 0;
        result[i] = std::all_of(readers[i].begin(), readers[i].end(), [&](NodeId id) {
            if (graph[id].op != Op::slice) return false;
            const auto& slice = graph[id].attrs<graph::SliceAttrs>();
            width += slice.end - slice.begin;
            return slice.axis + 1 == static_cast<std::int64_t>(node.shape.size());
        });
        result[i] = result[i] && width <= node.shape.back();
    }
    for (const auto& output : graph.outputs) result[static_cast<std::size_t>(output.node)] = false;
    return result;
}

class Lowering {
  public:
    explicit Lowering(const Graph& graph)
        : graph_(graph), values_(graph.nodes.size()), is_split_(split_linears(graph)) {}

    Lowered run() {
        std::vector<NodeId> roots;
        for (const auto& output : graph_.outputs) roots.push_back(output.node);
        const auto needed = reachable_backward(graph_, roots);
        for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
            if (needed[i] && !is_split_[i]) lower(static_cast<NodeId>(i));
        for (std::size_t i = 0; i < graph_.outputs.size(); ++i) classify(i);
        if (results_.empty()) {
            lowered_.parameters.resize(graph_.inputs.size());
            return std::move(lowered_);
        }
        ov::ParameterVector parameters;
        for (const NodeId id : graph_.inputs) {
            const Value& value = values_[static_cast<std::size_t>(id)];
            const bool is_read = value.get_node() != nullptr && !value.get_target_inputs().empty();
            lowered_.parameters.push_back(is_read ? std::optional(parameters.size()) : std::nullopt);
            if (is_read) parameters.push_back(ov::as_type_ptr<op::Parameter>(value.get_node_shared_ptr()));
        }
        lowered_.model = std::make_shared<ov::Model>(results_, parameters, graph_.name);
        return std::move(lowered_);
    }

  private:
    void classify(std::size_t i) {
        using Source = Lowered::Output::Source;
        const Value& value = values_[static_cast<std::size_t>(graph_.outputs[i].node)];
        Lowered::Output output;
        if (const auto [known, is_new] = seen_.emplace(value, i); !is_new) {
            output = {Source::output, known->second, {}};
        } else if (ov::is_type<op::Parameter>(value.get_node())) {
            output.source = Source::input;
            while (values_[static_cast<std::size_t>(graph_.inputs[output.index])] != value) ++output.index;
        } else if (const auto* constant = ov::as_type<op::Constant>(value.get_node())) {
            const Node& node = graph_[graph_.outputs[i].node];
            output.source = Source::constant;
            output.constant = Tensor(node.type, node.shape);
            std::memcpy(output.constant.data(), constant->get_data_ptr(), output.constant.bytes());
        } else {
            output.index = results_.size();
            results_.push_back(std::make_shared<op::Result>(value));
        }
        lowered_.outputs.push_back(std::move(output));
    }

    const Tensor& value_of(const Node& node) const {
        const auto& attrs = node.attrs<graph::ConstantAttrs>();
        if (!attrs.value.defined())
            failure("{}: constant '{}' has no value; the graph was built for its structure only", graph_.name,
                    attrs.name);
        return attrs.value;
    }

    void lower(NodeId id) {
        const Node& node = graph_[id];
        Value& value = values_[static_cast<std::size_t>(id)];
        value = emit({graph_, node, values_});
        if (node.op == Op::module_output) return;
        const std::string& module = graph_.modules.at(static_cast<std::size_t>(node.module)).name;
        value.get_node()->set_friendly_name(fmt::format("{}/{}#{}", module, graph::name_of(node.op), id));
        if (value.get_shape() != to_openvino(node.shape))
            failure("{}: {} in module '{}' became {} in OpenVINO, expected {}", graph_.name,
                    graph::name_of(node.op), module, value.get_partial_shape().to_string(),
                    to_string(node.shape));
    }

    Value emit(const Emission& e) const {
        switch (e.node.op) {
            case Op::input:
                return std::make_shared<op::Parameter>(to_openvino(e.node.type), to_openvino(e.node.shape));
            case Op::constant:
                return constant_over(value_of(e.node), e.node.shape);
            case Op::convert:
                return std::make_shared<op::Convert>(e.in(0), to_openvino(e.node.type));
            case Op::convolution:
                return emit_convolution(e);
            case Op::linear:
                return emit_linear(e);
            case Op::group_norm:
                return emit_group_norm(e);
            case Op::layer_norm:
                return emit_layer_norm(e);
            case Op::rms_norm:
                return emit_rms_norm(e);
            case Op::unary:
                return emit_unary(e);
            case Op::binary:
                return emit_binary(e);
            case Op::affine:
                return emit_affine(e);
            case Op::attention:
                return emit_attention(e);
            case Op::softmax:
                return std::make_shared<op::Softmax>(e.in(0), e.node.attrs<graph::AxisAttrs>().axis);
            case Op::concat: {
                ov::OutputVector parts;
                for (std::size_t i = 0; i < e.count(); ++i) parts.push_back(e.in(i));
                return std::make_shared<op::Concat>(parts, e.node.attrs<graph::AxisAttrs>().axis);
            }
            case Op::slice: {
                if (is_split_[static_cast<std::size_t>(e.node.inputs[0])])
                    return emit_linear_rows({graph_, graph_[e.node.inputs[0]], values_},
                                            e.node.attrs<graph::SliceAttrs>());
                const auto& attrs = e.node.attrs<graph::SliceAttrs>();
                return std::make_shared<op::Slice>(e.in(0), integers({attrs.begin}), integers({attrs.end}),
                                                   integers({1}), integers({attrs.axis}));
            }
            case Op::repeat:
                return emit_repeat(e);
            case Op::reshape:
                return reshaped(e.in(0), e.node.shape);
            case Op::transpose:
                return transposed(e.in(0), e.node.attrs<graph::TransposeAttrs>().permutation);
            case Op::pad: {
                const auto& attrs = e.node.attrs<graph::PadAttrs>();
                return std::make_shared<op::Pad>(e.in(0), integers(attrs.begin), integers(attrs.end),
                                                 ov::op::PadMode::CONSTANT);
            }
            case Op::upsample_nearest:
                return emit_upsample(e);
            case Op::gather:
                return std::make_shared<op::Gather>(e.in(0), e.in(1), integers({0}));
            case Op::module_output:
                return e.in(0);
        }
        failure("{}: {} has no lowering", e.graph.name, graph::name_of(e.node.op));
    }

    const Graph& graph_;
    std::vector<Value> values_;          ///< by node id
    std::vector<bool> is_split_;         ///< by node id: emitted with each of its slices
    std::map<Value, std::size_t> seen_;  ///< the first output of each value
    ov::ResultVector results_;
    Lowered lowered_;
};

}  // namespace

Lowered lower(const Graph& graph) {
    return Lowering(graph).run();
}

}  // namespace reprise::backends
