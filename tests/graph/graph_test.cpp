// Walking, pruning and costing graphs.
#include "graph/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/raw_graph.h"

namespace reprise::test {

namespace {

using graph::Builder;
using graph::Graph;
using graph::Op;
using graph::Value;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Graph, KnowsConsumersAndWhatIsNeeded) {
    RawGraph raw;
    const auto x = raw.input({2});
    const auto a = raw.add(Op::unary, {x}, graph::UnaryAttrs{});
    const auto b = raw.add(Op::unary, {x}, graph::UnaryAttrs{});
    const auto c = raw.add(Op::binary, {a, a}, graph::BinaryAttrs{});
    raw.output(c);
    const auto readers = consumers(raw.graph);
    EXPECT_THAT(readers[static_cast<std::size_t>(x)], ElementsAre(a, b));
    EXPECT_THAT(readers[static_cast<std::size_t>(a)], ElementsAre(c, c));
    EXPECT_THAT(readers[static_cast<std::size_t>(c)], IsEmpty());
    const std::vector<graph::NodeId> roots = {c};
    EXPECT_THAT(reachable_backward(raw.graph, roots), ElementsAre(true, true, false, true));
}

TEST(Graph, FindsInputsByName) {
    Builder b("unet", DType::f32, nullptr);
    b.input("sample", {1});
    b.input("timestep", {1});
    const Graph graph = b.finish();
    EXPECT_EQ(graph.input_index("timestep"), 1U);
    try {
        graph.input_index("class_labels");
        FAIL() << "no Error was thrown";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "unet has no input called 'class_labels'");
    }
}

TEST(Pruned, DropsWhatNoOutputNeeds) {
    Builder b("unet", DType::f32, nullptr);
    const Value x = b.input("x", {2, 4}), unused = b.input("unused", {2, 4});
    Value kept, dropped;
    {
        auto scope = b.module("dead", graph::ModuleKind::block);
        scope.takes({unused});
        dropped = scope.returns(b.linear(unused, "fc", 4));
    }
    {
        auto scope = b.module("alive", graph::ModuleKind::block);
        scope.takes({x});
        kept = scope.returns(b.linear(x, "fc", 3));
    }
    b.output("y", kept);
    const Graph graph = b.finish();
    const Graph result = pruned(graph);

    EXPECT_EQ(graph.nodes.size(), 10U);
    EXPECT_EQ(result.nodes.size(), 6U);   // two inputs, two constants, the layer, its module's output
    ASSERT_EQ(result.inputs.size(), 2U);  // also the one that nobody reads
    EXPECT_EQ(result.input_index("unused"), 1U);
    EXPECT_EQ(result[result.outputs[0].node].op, Op::module_output);
    EXPECT_EQ(result[result.outputs[0].node].shape, (Shape{2, 3}));
    EXPECT_EQ(parameter_count(result, 0), 15);
    const auto& alive = result.modules[static_cast<std::size_t>(result.find_module("alive"))];
    const auto& dead = result.modules[static_cast<std::size_t>(result.find_module("dead"))];
    EXPECT_THAT(alive.outputs, ElementsAre(result.outputs[0].node));
    EXPECT_THAT(alive.inputs, ElementsAre(result.inputs[0]));
    EXPECT_THAT(dead.outputs, ElementsAre(-1));
    for (std::size_t i = 0; i < result.nodes.size(); ++i)
        for (const auto input : result.nodes[i].inputs) EXPECT_LT(input, static_cast<graph::NodeId>(i));
}

TEST(Pruned, LeavesAFullGraphAsItIs) {
    Builder b("unet", DType::f32, nullptr);
    b.output("y", b.linear(b.input("x", {2, 4}), "fc", 3));
    const Graph graph = b.finish();
    EXPECT_EQ(pruned(graph).nodes.size(), graph.nodes.size());
}

TEST(Cost, OfAConvolution) {
    RawGraph raw;
    const auto x = raw.input({2, 6, 8, 8}), bias = raw.constant({4}, DType::f32);
    const auto w = raw.constant({4, 3, 3, 3}, DType::f32);
    const auto y = raw.add(Op::convolution, {x, w, bias}, graph::ConvolutionAttrs{{2, 2}, {1, 1}, {1, 1}, 2});
    const auto cost = cost_of(raw.graph, raw.graph[y]);
    EXPECT_EQ(cost.flops, 2.0 * (2 * 4 * 4 * 4) * (3 * 3 * 3));  // outputs times taps of one group
    EXPECT_EQ(cost.weight_bytes, 4.0 * (4 * 3 * 3 * 3 + 4));
    EXPECT_EQ(cost.activation_bytes, 4.0 * (2 * 6 * 8 * 8 + 2 * 4 * 4 * 4));
}

TEST(Cost, OfALinearLayer) {
    RawGraph raw;
    const auto x = raw.real_input({2, 7, 12}, DType::bf16), w = raw.constant({5, 12}, DType::bf16);
    const auto cost = cost_of(raw.graph, raw.graph[raw.add(Op::linear, {x, w})]);
    EXPECT_EQ(cost.flops, 2.0 * 2 * 7 * 12 * 5);
    EXPECT_EQ(cost.weight_bytes, 2.0 * 5 * 12);
    EXPECT_EQ(cost.activation_bytes, 2.0 * (2 * 7 * 12 + 2 * 7 * 5));
}

TEST(Cost, OfAttention) {
    RawGraph raw;
    const auto q = raw.input({2, 5, 12}), k = raw.input({2, 7, 12}), v = raw.input({2, 7, 18});
    const auto y = raw.add(Op::attention, {q, k, v}, graph::AttentionAttrs{3, 1, false});
    const auto cost = cost_of(raw.graph, raw.graph[y]);
    const double scores = 2 * 5 * 7;  // of each head, over its share of the width
    const double softmax = 5 * scores * 3;
    EXPECT_EQ(cost.flops, 2 * scores * 12 + 2 * scores * 18 + softmax);
    EXPECT_EQ(cost.weight_bytes, 0);
}

TEST(Cost, OfGatherIsWhatItReads) {
    RawGraph raw;
    const auto table = raw.constant({50000, 4}, DType::f32), ids = raw.input({3}, DType::i64);
    const auto cost = cost_of(raw.graph, raw.graph[raw.add(Op::gather, {table, ids})]);
    EXPECT_EQ(cost.flops, 0);
    EXPECT_EQ(cost.weight_bytes, 0);
    EXPECT_EQ(cost.activation_bytes, 4.0 * 3 * 4 * 2 + 8.0 * 3);
}

TEST(Cost, OfAGraphIsItsNodesSum) {
    Builder b("unet", DType::f32, nullptr);
    const Value x = b.input("x", {2, 4});
    Value y;
    {
        auto scope = b.module("block");
        y = scope.returns(b.reshape(b.linear(x, "fc", 6), {3, 4}));
    }
    b.output("y", b.linear(y, "out", 2));
    EXPECT_EQ(cost_of(b.graph()).flops, 2.0 * 2 * 4 * 6 + 2.0 * 3 * 4 * 2);  // views cost nothing
}

}  // namespace

}  // namespace reprise::test
