// The shape rule of every operation.
#include <algorithm>
#include <array>

#include "graph/graph.h"
#include "reprise/error.h"

namespace reprise::graph {

std::string_view name_of(Op op) {
    constexpr std::array<std::string_view, 22> kNames = {
        "input",      "constant",         "convert", "convolution",  "linear",  "group_norm",
        "layer_norm", "rms_norm",         "unary",   "binary",       "affine",  "attention",
        "softmax",    "concat",           "slice",   "repeat",       "reshape", "transpose",
        "pad",        "upsample_nearest", "gather",  "module_output"};
    return kNames.at(static_cast<std::size_t>(op));
}

namespace {

class Rule {
  public:
    Rule(const Graph& graph, const Node& node) : graph_(graph), node_(node) {}

    Shape shape() const {
        switch (node_.op) {
            case Op::input:
                return node_.attrs<InputAttrs>().shape;
            case Op::constant:
                return node_.attrs<ConstantAttrs>().shape;
            case Op::convert:
            case Op::unary:
            case Op::affine:
            case Op::module_output:
                return in(0);
            case Op::convolution:
                return convolution();
            case Op::linear:
                return linear();
            case Op::group_norm:
                return group_norm();
            case Op::layer_norm:
            case Op::rms_norm:
                return norm();
            case Op::binary:
                return binary();
            case Op::attention:
                return attention();
            case Op::softmax:
                return softmax();
            case Op::concat:
                return concat();
            case Op::slice:
                return slice();
            case Op::repeat:
                return repeat();
            case Op::reshape:
                return reshape();
            case Op::transpose:
                return transpose();
            case Op::pad:
                return pad();
            case Op::upsample_nearest:
                return upsample();
            case Op::gather:
                return gather();
        }
        wrong("is not known");
    }

  private:
    const Shape& in(std::size_t i) const { return graph_[node_.inputs.at(i)].shape; }

    template <class... Args>
    [[noreturn]] void wrong(fmt::format_string<Args...> format, Args&&... args) const {
        std::string shapes;
        for (const NodeId id : node_.inputs)
            shapes += (shapes.empty() ? "" : ", ") + to_string(graph_[id].shape);
        failure("{}: {} in module '{}' {}; its inputs are {}", graph_.name, name_of(node_.op),
                graph_.modules.at(static_cast<std::size_t>(node_.module)).name,
                fmt::format(format, std::forward<Args>(args)...), shapes.empty() ? "none" : shapes);
    }
    void check(bool holds, const char* text) const {
        if (!holds) wrong("{}", text);
    }
    std::size_t axis(std::int64_t value) const {
        check(value >= 0 && value < static_cast<std::int64_t>(in(0).size()), "has an axis out of range");
        return static_cast<std::size_t>(value);
    }

    Shape convolution() const {
        const auto& attrs = node_.attrs<ConvolutionAttrs>();
        const Shape& x = in(0);
        const Shape& weight = in(1);
        const std::size_t spatial = attrs.stride.size();
        check(x.size() == spatial + 2 && weight.size() == spatial + 2, "has a wrong number of dimensions");
        check(x[1] == weight[1] * attrs.groups, "has other input channels than its weight");
        if (node_.inputs.size() > 2) check(in(2) == Shape{weight[0]}, "has a misshapen bias");
        Shape result = {x[0], weight[0]};
        for (std::size_t d = 0; d < spatial; ++d) {
            const auto extent = x[d + 2] + attrs.pad_begin[d] + attrs.pad_end[d] - weight[d + 2];
            check(extent >= 0 && attrs.stride[d] > 0, "has a kernel larger than its input");
            result.push_back(extent / attrs.stride[d] + 1);
        }
        return result;
    }
    Shape linear() const {
        Shape result = in(0);
        const Shape& weight = in(1);
        check(weight.size() == 2 && !result.empty() && result.back() == weight[1],
              "has another input width than its weight");
        if (node_.inputs.size() > 2) check(in(2) == Shape{weight[0]}, "has a misshapen bias");
        result.back() = weight[0];
        return result;
    }
    Shape group_norm() const {
        const auto groups = node_.attrs<NormAttrs>().groups;
        check(in(0).size() >= 2 && groups > 0 && in(0)[1] % groups == 0,
              "has channels that do not divide by groups");
        check(in(1) == Shape{in(0)[1]} && in(2) == in(1), "has a misshapen weight or bias");
        return in(0);
    }
    Shape norm() const {
        check(!in(0).empty(), "needs a dimension");
        for (std::size_t i = 1; i < node_.inputs.size(); ++i)
            check(in(i) == Shape{in(0).back()}, "has a misshapen weight or bias");
        return in(0);
    }
    Shape binary() const {
        const Shape& a = in(0);
        const Shape& b = in(1);
        Shape result(std::max(a.size(), b.size()), 1);
        for (std::size_t i = 0; i < result.size(); ++i) {
            const auto size_a = i < a.size() ? a[a.size() - 1 - i] : 1;
            const auto size_b = i < b.size() ? b[b.size() - 1 - i] : 1;
            check(size_a == size_b || size_a == 1 || size_b == 1, "cannot broadcast");
            result[result.size() - 1 - i] = size_a == 1 ? size_b : size_a;
        }
        return result;
    }
    Shape attention() const {
        const auto heads = node_.attrs<AttentionAttrs>().heads;
        const Shape &q = in(0), &k = in(1), &v = in(2);
        check(q.size() == 3 && k.size() == 3 && v.size() == 3, "needs (batch, length, width)");
        check(q[0] == k[0] && k[0] == v[0], "has different batches");
        check(q[2] == k[2] && k[1] == v[1], "has keys that do not fit");
        check(heads > 0 && q[2] % heads == 0 && v[2] % heads == 0,
              "has a width that does not divide by heads");
        if (node_.inputs.size() > 3) {
            const Shape& bias = in(3);
            const Shape full = {q[0], heads, q[1], k[1]};
            check(bias.size() == 4, "needs a bias with four dimensions");
            for (std::size_t i = 0; i < 4; ++i)
                check(bias[i] == full[i] || bias[i] == 1, "has a misshapen bias");
        }
        return {q[0], q[1], v[2]};
    }
    Shape softmax() const {
        axis(node_.attrs<AxisAttrs>().axis);
        return in(0);
    }
    Shape concat() const {
        const std::size_t along = axis(node_.attrs<AxisAttrs>().axis);
        Shape result = in(0);
        for (std::size_t i = 1; i < node_.inputs.size(); ++i) {
            Shape other = in(i);
            check(other.size() == result.size(), "has inputs of different rank");
            result[along] += other[along];
            other[along] = in(0)[along];
            check(other == in(0), "has inputs that differ outside its axis");
        }
        return result;
    }
    Shape slice() const {
        const auto& attrs = node_.attrs<SliceAttrs>();
        Shape result = in(0);
        const std::size_t along = axis(attrs.axis);
        check(0 <= attrs.begin && attrs.begin < attrs.end && attrs.end <= result[along], "is out of range");
        result[along] = attrs.end - attrs.begin;
        return result;
    }
    Shape repeat() const {
        const auto& attrs = node_.attrs<RepeatAttrs>();
        Shape result = in(0);
        check(attrs.times > 0, "repeats less than once");
        result[axis(attrs.axis)] *= attrs.times;
        return result;
    }
    Shape reshape() const {
        const Shape& shape = node_.attrs<ShapeAttrs>().shape;
        if (element_count(shape) != element_count(in(0))) wrong("cannot give {}", to_string(shape));
        return shape;
    }
    Shape transpose() const {
        const auto& permutation = node_.attrs<TransposeAttrs>().permutation;
        std::vector<bool> seen(in(0).size(), false);
        check(permutation.size() == in(0).size(), "permutes another number of axes");
        Shape result;
        for (const auto from : permutation) {
            const std::size_t i = axis(from);
            check(!seen[i], "names an axis twice");
            seen[i] = true;
            result.push_back(in(0)[i]);
        }
        return result;
    }
    Shape pad() const {
        const auto& attrs = node_.attrs<PadAttrs>();
        Shape result = in(0);
        check(attrs.begin.size() == result.size() && attrs.end.size() == result.size(), "pads other axes");
        for (std::size_t i = 0; i < result.size(); ++i) {
            check(attrs.begin[i] >= 0 && attrs.end[i] >= 0, "pads by less than nothing");
            result[i] += attrs.begin[i] + attrs.end[i];
        }
        return result;
    }
    Shape upsample() const {
        const auto& attrs = node_.attrs<UpsampleAttrs>();
        Shape result = in(0);
        check(result.size() >= 3 && attrs.height > 0 && attrs.width > 0, "needs a picture and a size");
        result[result.size() - 2] = attrs.height;
        result[result.size() - 1] = attrs.width;
        return result;
    }
    Shape gather() const {
        Shape result = in(1);
        check(!in(0).empty() && graph_[node_.inputs[1]].type == DType::i64, "needs a table and i64 ids");
        result.insert(result.end(), in(0).begin() + 1, in(0).end());
        return result;
    }

    const Graph& graph_;
    const Node& node_;
};

}  // namespace

void infer(const Graph& graph, Node& node) {
    node.shape = Rule(graph, node).shape();
    switch (node.op) {
        case Op::input:
            node.type = node.attrs<InputAttrs>().type;
            return;
        case Op::constant:
            node.type = node.attrs<ConstantAttrs>().type;
            return;
        case Op::convert:
            node.type = node.attrs<ConvertAttrs>().type;
            return;
        default:
            break;
    }
    node.type = graph[node.inputs.at(0)].type;
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
        if (node.op == Op::gather) break;  // the ids are of another type
        const DType other = graph[node.inputs[i]].type;
        if (other != node.type)
            failure("{}: {} in module '{}' mixes {} and {}", graph.name, name_of(node.op),
                    graph.modules.at(static_cast<std::size_t>(node.module)).name, name_of(node.type),
                    name_of(other));
    }
}

}  // namespace reprise::graph
