// What makes the reference backend an oracle: results that do not depend on the graph around a node.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backends/cases.h"
#include "backends/support.h"
#include "core/half.h"
#include "reprise/error.h"

namespace reprise::test {

namespace {

using graph::Graph;
using graph::Op;

/// Runs a graph as two: nodes before `cut`, then the rest, with all values between handed over.
std::vector<Tensor> run_cut(const Graph& graph, const std::vector<Tensor>& inputs, std::size_t cut,
                            DType precision) {
    const auto reference = backend_named("reference");
    Graph first = graph;
    first.outputs.clear();
    for (std::size_t i = 0; i < cut; ++i)
        if (graph.nodes[i].op != Op::constant)
            first.outputs.push_back({fmt::format("n{}", i), static_cast<graph::NodeId>(i)});
    const auto between = run(*reference, first, inputs, precision);

    Graph second = graph;
    std::vector<Tensor> second_inputs = inputs;
    for (std::size_t k = 0; k < first.outputs.size(); ++k) {
        auto& node = second.nodes[static_cast<std::size_t>(first.outputs[k].node)];
        if (node.op == Op::input) continue;
        node.op = Op::input;
        node.inputs.clear();
        node.attributes = graph::InputAttrs{first.outputs[k].name, node.type, node.shape};
        second.inputs.push_back(first.outputs[k].node);
        second_inputs.push_back(between[k]);
    }
    return run(*reference, second, second_inputs, precision);
}

TEST(Reference, CutsChangeNoBit) {
    for (const DType precision : {DType::f32, DType::bf16, DType::f16})
        for (const auto& entry : graph_cases()) {
            SCOPED_TRACE(fmt::format("{} in {}", entry.name, name_of(precision)));
            Graph graph = entry.build(precision);
            fill_constants(graph);
            const auto inputs = random_inputs(graph, kRows);
            const auto whole = run(*backend_named("reference"), graph, inputs, precision);
            for (std::size_t cut = 1; cut < graph.nodes.size(); cut += 1 + graph.nodes.size() / 5) {
                const auto parts = run_cut(graph, inputs, cut, precision);
                for (std::size_t i = 0; i < whole.size(); ++i)
                    EXPECT_EQ(relative_error(parts[i], whole[i]), 0) << "cut at " << cut;
            }
        }
}

TEST(Reference, RoundsToTheTypeOfANode) {
    RawGraph raw;
    const auto x = raw.real_input({3}, DType::bf16);
    raw.output(raw.add(Op::convert,
                       {raw.add(Op::binary, {x, x}, graph::BinaryAttrs{graph::Binary::multiply})},
                       graph::ConvertAttrs{DType::f32}));
    const Tensor input = Tensor::from({3}, std::vector<float>{1.0F / 3, 1.00390625F, -3});
    const auto result = run(*backend_named("reference"), raw.graph, {input}, DType::bf16)[0];
    for (std::size_t i = 0; i < 3; ++i) {
        const float stored = from_bf16(to_bf16(input.span<float>()[i]));
        EXPECT_EQ(result.span<float>()[i], from_bf16(to_bf16(stored * stored)));
    }
}

TEST(Reference, MatchesSumsDoneByHand) {
    RawGraph raw;
    const auto x = raw.input({1, 2}), w = raw.input({2, 2}), b = raw.input({2});
    raw.output(raw.add(Op::linear, {x, w, b}));
    const std::vector<Tensor> inputs = {Tensor::from({1, 2}, std::vector<float>{2, 3}),
                                        Tensor::from({2, 2}, std::vector<float>{1, 10, 100, 1000}),
                                        Tensor::from({2}, std::vector<float>{0.5F, -1})};
    const auto y = run(*backend_named("reference"), raw.graph, inputs, DType::f32)[0];
    EXPECT_EQ(y.span<float>()[0], 32.5F);
    EXPECT_EQ(y.span<float>()[1], 3199.0F);
}

TEST(Reference, KeepsNotANumber) {
    graph::Builder b("nan", DType::f32, nullptr);
    b.output("y", b.silu(b.real_input("x", {2})));
    const Tensor x = Tensor::from({2}, std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 1});
    const auto y = run(*backend_named("reference"), b.finish(), {x}, DType::f32)[0];
    EXPECT_TRUE(std::isnan(y.span<float>()[0]));
    EXPECT_FALSE(std::isnan(y.span<float>()[1]));
}

TEST(Reference, RefusesRowsOutsideATable) {
    RawGraph raw;
    const auto table = raw.input({3, 2});
    raw.output(raw.add(Op::gather, {table, raw.input({1}, DType::i64)}));
    const Tensor ids = Tensor::from({1}, std::vector<std::int64_t>{3});
    EXPECT_THROW(run(*backend_named("reference"), raw.graph, {Tensor(DType::f32, {3, 2}), ids}, DType::f32),
                 Error);
}

}  // namespace

}  // namespace reprise::test
