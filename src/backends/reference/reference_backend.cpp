// Plain loops, node after node: the oracle that other backends and every plan are held to. How a node is
// computed does not depend on the graph around it, so cutting a graph changes no bit of its results.
#include <algorithm>
#include <cstring>

#include "backends/binding.h"
#include "backends/factories.h"
#include "backends/host_queue.h"
#include "backends/reference/kernels.h"
#include "core/half.h"
#include "reprise/error.h"

namespace reprise::backends {

namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using reference::Call;

/// Bytes in which one element is held while computing: float, or i64.
std::size_t held_size(DType type) {
    return type == DType::i64 ? sizeof(std::int64_t) : sizeof(float);
}

/// True when a tensor of that type is read as it is.
bool is_held_as_is(DType type) {
    return type == DType::f32 || type == DType::i64;
}

/// True when the value of a node is that of its first input.
bool is_alias(const Node& node) {
    return node.op == Op::reshape || node.op == Op::module_output;
}

void round_to(DType type, std::span<float> values) {
    if (type == DType::bf16)
        for (float& value : values) value = from_bf16(to_bf16(value));
    else if (type == DType::f16)
        for (float& value : values) value = from_f16(to_f16(value));
}

void widen(const Tensor& from, std::span<float> to) {
    if (from.type() == DType::bf16)
        convert_from_bf16(from.span<std::uint16_t>(), to);
    else
        convert_from_f16(from.span<std::uint16_t>(), to);
}

void compute(const Call& call) {
    switch (call.node.op) {
        case Op::convert:
            return reference::convert(call);
        case Op::convolution:
            return reference::convolution(call);
        case Op::linear:
            return reference::linear(call);
        case Op::group_norm:
            return reference::group_norm(call);
        case Op::layer_norm:
            return reference::layer_norm(call);
        case Op::rms_norm:
            return reference::rms_norm(call);
        case Op::unary:
            return reference::unary(call);
        case Op::binary:
            return reference::binary(call);
        case Op::affine:
            return reference::affine(call);
        case Op::attention:
            return reference::attention(call);
        case Op::softmax:
            return reference::softmax(call);
        case Op::concat:
            return reference::concat(call);
        case Op::slice:
            return reference::slice(call);
        case Op::repeat:
            return reference::repeat(call);
        case Op::transpose:
            return reference::transpose(call);
        case Op::pad:
            return reference::pad(call);
        case Op::upsample_nearest:
            return reference::upsample_nearest(call);
        case Op::gather:
            return reference::gather(call);
        case Op::input:
        case Op::constant:
        case Op::reshape:
        case Op::module_output:
            break;
    }
    failure("{}: {} is not computed", call.graph.name, graph::name_of(call.node.op));
}

/// True for operations that take i64 values as well as floats.
bool takes_integers(Op op) {
    switch (op) {
        case Op::input:
        case Op::constant:
        case Op::convert:
        case Op::concat:
        case Op::slice:
        case Op::repeat:
        case Op::reshape:
        case Op::transpose:
        case Op::pad:
        case Op::upsample_nearest:
        case Op::gather:
        case Op::module_output:
            return true;
        default:
            return false;
    }
}

/// What all requests share: the graph, which of its nodes are needed, and its constants as they are held.
struct Program {
    Graph graph;
    std::vector<bool> needed;
    std::vector<Tensor> constants;     ///< by node; undefined for other nodes
    std::vector<std::size_t> offsets;  ///< by node, into a request's arena
    std::size_t arena_bytes = 0;

    explicit Program(const Graph& source) : graph(source) {
        std::vector<graph::NodeId> roots;
        for (const auto& output : graph.outputs) roots.push_back(output.node);
        needed = reachable_backward(graph, roots);
        constants.resize(graph.nodes.size());
        offsets.resize(graph.nodes.size());
        for (std::size_t i = 0; i < graph.nodes.size(); ++i)
            if (needed[i]) prepare(i);
    }

  private:
    void prepare(std::size_t i) {
        const Node& node = graph.nodes[i];
        if (!is_held_as_is(node.type) && node.type != DType::bf16 && node.type != DType::f16)
            failure("{}: {} gives {}; the reference backend computes f32, bf16, f16 and i64", graph.name,
                    graph::name_of(node.op), name_of(node.type));
        if (node.type == DType::i64 && !takes_integers(node.op))
            failure("{}: the reference backend has no {} of i64", graph.name, graph::name_of(node.op));
        if (node.op == Op::convolution && node.attrs<graph::ConvolutionAttrs>().stride.size() > 3)
            failure("{}: the reference backend has no convolution over {} dimensions", graph.name,
                    node.attrs<graph::ConvolutionAttrs>().stride.size());
        if (node.op == Op::constant) {
            const auto& attrs = node.attrs<graph::ConstantAttrs>();
            if (!attrs.value.defined())
                failure("{}: constant '{}' has no value; the graph was built for its structure only",
                        graph.name, attrs.name);
            constants[i] = is_held_as_is(node.type) ? attrs.value : attrs.value.to(DType::f32);
            return;
        }
        if (is_alias(node) || (node.op == Op::input && is_held_as_is(node.type))) return;
        constexpr std::size_t kAlignment = 64;
        offsets[i] = arena_bytes;
        const std::size_t size = static_cast<std::size_t>(element_count(node.shape)) * held_size(node.type);
        arena_bytes += (size + kAlignment - 1) / kAlignment * kAlignment;
    }
};

class ReferenceRequest final : public Request {
  public:
    explicit ReferenceRequest(std::shared_ptr<const Program> program)
        : program_(std::move(program)),
          inputs_(program_->graph.inputs.size()),
          outputs_(program_->graph.outputs.size()),
          arena_(DType::u8, {static_cast<std::int64_t>(program_->arena_bytes)}),
          values_(program_->graph.nodes.size(), nullptr) {}

    void run(std::span<const Value* const> inputs, std::span<Value* const> outputs) override {
        const Graph& graph = program_->graph;
        check_host_run(graph, inputs, outputs);
        for (std::size_t i = 0; i < inputs.size(); ++i) inputs_[i] = inputs[i]->host();
        for (std::size_t i = 0; i < outputs.size(); ++i) outputs_[i] = outputs[i]->host();
        for (std::size_t i = 0; i < graph.inputs.size(); ++i)
            if (program_->needed[static_cast<std::size_t>(graph.inputs[i])]) read(i);
        for (std::size_t i = 0; i < graph.nodes.size(); ++i)
            if (program_->needed[i]) evaluate(i);
        for (std::size_t i = 0; i < graph.outputs.size(); ++i) write(i);
    }

  private:
    void* own(std::size_t node) { return static_cast<std::byte*>(arena_.data()) + program_->offsets[node]; }
    std::span<float> floats(std::size_t node) {
        return {static_cast<float*>(values_[node]),
                static_cast<std::size_t>(element_count(program_->graph.nodes[node].shape))};
    }

    void read(std::size_t input) {
        const auto node = static_cast<std::size_t>(program_->graph.inputs[input]);
        if (is_held_as_is(inputs_[input].type())) {
            values_[node] = inputs_[input].data();
            return;
        }
        values_[node] = own(node);
        widen(inputs_[input], floats(node));
    }

    void evaluate(std::size_t i) {
        const Node& node = program_->graph.nodes[i];
        if (node.op == Op::input) return;
        if (node.op == Op::constant) {
            values_[i] = const_cast<void*>(program_->constants[i].data());  // NOLINT: kernels read it only
        } else if (is_alias(node)) {
            values_[i] = values_[static_cast<std::size_t>(node.inputs[0])];
        } else {
            values_[i] = own(i);
            compute({program_->graph, node, values_, values_[i]});
            if (!is_held_as_is(node.type)) round_to(node.type, floats(i));
        }
    }

    void write(std::size_t output) {
        Tensor& target = outputs_[output];
        const auto node = static_cast<std::size_t>(program_->graph.outputs[output].node);
        if (target.type() == DType::bf16)
            convert_to_bf16(floats(node), target.span<std::uint16_t>());
        else if (target.type() == DType::f16)
            convert_to_f16(floats(node), target.span<std::uint16_t>());
        else if (target.data() != values_[node])
            std::memmove(target.data(), values_[node], target.bytes());
    }

    std::shared_ptr<const Program> program_;
    std::vector<Tensor> inputs_, outputs_;
    Tensor arena_;
    std::vector<void*> values_;  ///< by node
};

class ReferenceExecutable final : public Executable {
  public:
    explicit ReferenceExecutable(const Graph& graph) : program_(std::make_shared<Program>(graph)) {}
    std::unique_ptr<Request> request(Queue& /*queue*/) const override {
        return std::make_unique<ReferenceRequest>(program_);
    }
    void release_memory() const override {}  // scratch memory belongs to requests

  private:
    std::shared_ptr<const Program> program_;
};

class ReferenceBackend final : public Backend {
  public:
    std::string_view name() const override { return "reference"; }
    std::vector<std::string> devices() const override { return {"CPU"}; }
    DType preferred_precision(std::string_view device) const override {
        check_device(device);
        return DType::f32;
    }
    void check_precision(std::string_view device, DType precision) const override {
        check_device(device);
        if (precision != DType::f32 && precision != DType::bf16 && precision != DType::f16)
            usage_error("the reference backend computes in f32, bf16 or f16, not in {}", name_of(precision));
    }
    Traits traits(std::string_view device) const override {
        check_device(device);
        return {};
    }
    std::unique_ptr<Queue> queue(const CompileOptions& options) const override {
        return host_queue(options.threads);
    }
    /// Constants of 16 bits in f32; others are used where they are.
    Footprint footprint(const Graph& graph) const override {
        Footprint result;
        for (const Node& node : graph.nodes)
            if (node.op == Op::constant && !is_held_as_is(node.type))
                result.bytes += static_cast<double>(element_count(node.shape)) * sizeof(float);
        return result;
    }
    std::unique_ptr<Executable> compile(const Graph& graph, const CompileOptions& options) const override {
        check_precision(options.device, options.precision);
        check_types(graph, options.precision);
        return std::make_unique<ReferenceExecutable>(graph);
    }

  private:
    static void check_device(std::string_view device) {
        if (device != "CPU") usage_error("the reference backend has no device '{}', only CPU", device);
    }
};

}  // namespace

std::shared_ptr<Backend> create_reference() {
    return std::make_shared<ReferenceBackend>();
}

}  // namespace reprise::backends
