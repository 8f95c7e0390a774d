#include "graph/content.h"

#include <fmt/format.h>

#include <cstring>
#include <type_traits>

namespace reprise::graph {

namespace {

/// Two 64-bit FNV-1a states with different bases and a rotation between: 128 bits, so that among any number
/// of graphs that a process compiles no two collide by chance.
class Digest {
  public:
    void bytes(const void* data, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto byte = static_cast<const unsigned char*>(data)[i];
            a_ = (a_ ^ byte) * kPrime;
            b_ = ((b_ << 7U | b_ >> 57U) ^ byte) * kPrime;
        }
    }
    template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void add(T value) { bytes(&value, sizeof(value)); }
    void add(const std::string& text) {
        add(text.size());
        bytes(text.data(), text.size());
    }
    template <class T>
    void add(const std::vector<T>& values) {
        add(values.size());
        for (const T& value : values) add(value);
    }
    std::string text() const { return fmt::format("{:016x}{:016x}", a_, b_); }

  private:
    static constexpr std::uint64_t kPrime = 0x100000001b3U;
    std::uint64_t a_ = 0xcbf29ce484222325U, b_ = 0x6c62272e07bb0142U;
};

/// Adds what each kind of attribute says; one that is added to `Attributes` does not compile without a line
/// here.
struct Attribute {
    Digest& digest;

    void operator()(const std::monostate& /*none*/) const {}
    void operator()(const InputAttrs& /*its type and shape are the node's*/) const {}
    void operator()(const ConstantAttrs& a) const {
        digest.add(a.name);
        digest.add(a.is_literal);
        digest.add(a.source);
        if (a.is_literal && a.value.defined()) digest.bytes(a.value.data(), a.value.bytes());
    }
    void operator()(const ConvertAttrs& a) const { digest.add(a.type); }
    void operator()(const ConvolutionAttrs& a) const {
        digest.add(a.stride);
        digest.add(a.pad_begin);
        digest.add(a.pad_end);
        digest.add(a.groups);
    }
    void operator()(const NormAttrs& a) const {
        digest.add(a.groups);
        digest.add(a.epsilon);
    }
    void operator()(const UnaryAttrs& a) const { digest.add(a.function); }
    void operator()(const BinaryAttrs& a) const { digest.add(a.function); }
    void operator()(const AffineAttrs& a) const {
        digest.add(a.scale);
        digest.add(a.shift);
    }
    void operator()(const AttentionAttrs& a) const {
        digest.add(a.heads);
        digest.add(a.scale);
        digest.add(a.causal);
    }
    void operator()(const AxisAttrs& a) const { digest.add(a.axis); }
    void operator()(const SliceAttrs& a) const {
        digest.add(a.axis);
        digest.add(a.begin);
        digest.add(a.end);
    }
    void operator()(const RepeatAttrs& a) const {
        digest.add(a.axis);
        digest.add(a.times);
    }
    void operator()(const ShapeAttrs& a) const { digest.add(a.shape); }
    void operator()(const TransposeAttrs& a) const { digest.add(a.permutation); }
    void operator()(const PadAttrs& a) const {
        digest.add(a.begin);
        digest.add(a.end);
    }
    void operator()(const UpsampleAttrs& a) const {
        digest.add(a.height);
        digest.add(a.width);
    }
    void operator()(const ModuleOutputAttrs& /*the identity*/) const {}
};

}  // namespace

std::string content_of(const Graph& graph) {
    Digest digest;
    for (const Node& node : graph.nodes) {
        digest.add(node.op);
        digest.add(node.inputs);
        digest.add(node.shape);
        digest.add(node.type);
        std::visit(Attribute{digest}, node.attributes);
    }
    digest.add(graph.inputs);
    digest.add(graph.outputs.size());
    for (const auto& output : graph.outputs) digest.add(output.node);
    return digest.text();
}

}  // namespace reprise::graph
