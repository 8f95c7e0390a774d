// Graphs that are unusual as graphs: what leaves them, what enters them, how their nodes hang together.
#include "backends/cases.h"
#include "backends/support.h"

namespace reprise::test {

using graph::Builder;
using graph::ModuleKind;
using graph::Op;
using graph::Value;

std::vector<Case> graph_cases() {
    std::vector<Case> cases;
    cases.push_back(described("output_is_input", [](Builder& b) {
        const Value x = b.input("x", {2, 3});
        auto scope = b.module("pass");
        b.output("y", scope.returns(x));
        b.output("z", b.silu(b.convert(x, b.precision())));
    }));
    cases.push_back(described("only_passes_through", [](Builder& b) {
        auto outer = b.module("outer");
        Value x = b.input("x", {2, 3});
        {
            auto inner = b.module("inner");
            x = inner.returns(x);
        }
        b.output("y", outer.returns(x));
    }));
    cases.push_back(described("integer_passes_through",
                              [](Builder& b) { b.output("ids", b.input("ids", {4}, DType::i64)); }));
    cases.push_back(described("output_reshapes_input", [](Builder& b) {
        b.output("y", b.reshape(b.real_input("x", {2, 6}), {3, 4}));
    }));
    cases.push_back(described("one_value_twice", [](Builder& b) {
        const Value y = b.silu(b.real_input("x", {2, 3}));
        auto scope = b.module("again");
        b.output("a", y);
        b.output("b", scope.returns(y));
        b.output("c", y * 2.0F);
    }));
    cases.push_back(described("output_is_read_on", [](Builder& b) {  // a slot in the middle
        const Value h = b.conv2d(b.real_input("x", {1, 4, 6, 6}), "a", 8, 3);
        b.output("h", h);
        b.output("y", b.conv2d(b.silu(b.group_norm(h, "norm", 2, 1e-5F)), "b", 4, 3));
    }));
    cases.push_back(described("output_is_constant", [](Builder& b) {
        b.output("w", b.weight("w", {3, 4}));
        b.output("y", b.silu(b.real_input("x", {2})));
    }));
    cases.push_back(described("output_from_constants", [](Builder& b) {
        b.output("y", b.silu(b.weight("w", {3, 4}) * 2.0F));
    }));
    cases.push_back(described("unused_inputs", [](Builder& b) {
        b.input("left", {2, 2});
        const Value x = b.real_input("x", {2, 3});
        b.input("right", {5}, DType::i64);
        b.output("y", b.silu(x));
    }));
    cases.push_back(described("unused_branch", [](Builder& b) {
        const Value x = b.real_input("x", {2, 4}), unused = b.real_input("unused", {2, 4});
        b.linear(unused, "dead", 3);
        b.output("y", b.linear(x, "fc", 3));
    }));
    cases.push_back(described("same_weight_twice", [](Builder& b) {
        const Value x = b.real_input("x", {2, 4});
        b.output("y", b.linear(b.silu(b.linear(x, "fc", 4)), "fc", 4));
    }));
    cases.push_back(described("deep_chain", [](Builder& b) {
        Value x = b.real_input("x", {2, 8});
        for (int i = 0; i < 24; ++i) x = b.affine(x + b.silu(x) * 0.125F, 0.9F, 0.01F);
        b.output("y", x);
    }));
    cases.push_back(described("residual_block", [](Builder& b) {
        const Value x = b.real_input("x", {2, 8, 8, 8});
        const Value time = b.linear(b.silu(b.real_input("time", {2, 16})), "time", 12);
        Value h = b.conv2d(b.silu(b.group_norm(x, "norm1", 4, 1e-5F)), "conv1", 12, 3);
        h = h + b.reshape(time, {2, 12, 1, 1});
        h = b.conv2d(b.silu(b.group_norm(h, "norm2", 4, 1e-5F)), "conv2", 12, 3);
        b.output("y", b.conv2d(x, "shortcut", 12, 1) + h);
    }));
    cases.push_back(described("transformer_block", [](Builder& b) {
        Value x = b.real_input("x", {2, 12, 16});
        const Value n = b.layer_norm(x, "norm1", 1e-5F);
        x = x + b.linear(b.attention(b.linear(n, "q", 16, false), b.linear(n, "k", 16, false),
                                     b.linear(n, "v", 16, false), {2, {}, false, {}}),
                         "out", 16);
        const auto parts = b.split(b.linear(b.layer_norm(x, "norm2", 1e-5F), "proj", 128), 2, -1);
        b.output("y", x + b.linear(parts[0] * b.gelu(parts[1]), "ff", 16));
    }));
    return cases;
}

}  // namespace reprise::test
