// The builder: names, weights and what it says when they do not fit.
#include "graph/builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/captured_log.h"
#include "core/map_weights.h"
#include "reprise/error.h"

namespace reprise::test {

namespace {

using graph::Builder;
using graph::ModuleKind;
using graph::Op;
using graph::Value;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

MapWeights weights(MapWeights::Map map) {
    return MapWeights(std::move(map), "models/tiny/unet");
}

template <class Action>
std::string usage_message(const Action& action) {
    try {
        action();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
        return error.what();
    }
    ADD_FAILURE() << "no Error was thrown";
    return {};
}

TEST(Builder, ReadsWeightsUnderTheirModulesNames) {
    const auto source = weights({{"down.0.attn.to_q.weight", Tensor::from({2, 3}, std::vector<float>(6, 2))},
                                 {"down.0.attn.to_q.bias", Tensor::from({2}, std::vector<float>(2, 3))}});
    Builder b("unet", DType::f32, &source);
    const Value x = b.real_input("x", {1, 3});
    {
        const auto outer = b.module("down.0", ModuleKind::block);
        const auto inner = b.module("attn", ModuleKind::self_attention);
        EXPECT_EQ(b.full_name("to_q.weight"), "down.0.attn.to_q.weight");
        b.output("y", b.linear(x, "to_q", 2));
    }
    EXPECT_EQ(b.full_name(""), "");
    const auto graph = b.finish();
    const auto attention = graph.find_module("down.0.attn");
    ASSERT_GE(attention, 0);
    const auto& module = graph.modules[static_cast<std::size_t>(attention)];
    EXPECT_EQ(module.kind, ModuleKind::self_attention);
    EXPECT_EQ(module.parent, graph.find_module("down.0"));
    EXPECT_TRUE(graph.is_within(graph.find_module("down.0.attn.to_q"), graph.find_module("down.0")));
    EXPECT_FALSE(graph.is_within(graph.find_module("down.0"), attention));
    EXPECT_EQ(graph.find_module("down.1"), -1);
    EXPECT_EQ(parameter_count(graph, 0), 8);
    EXPECT_EQ(parameter_count(graph, attention), 8);
}

TEST(Builder, SharesTheSourcesMemoryWhereTheTypeFits) {
    const Tensor stored = Tensor::from({2, 3}, std::vector<float>(6, 1.5F));
    const auto source = weights({{"w", stored}});
    Builder same("unet", DType::f32, &source), other("unet", DType::bf16, &source);
    const Value a = same.weight("w", {2, 3}), b = other.weight("w", {2, 3});
    const auto& shared = same.graph()[a.id()].attrs<graph::ConstantAttrs>().value;
    const auto& converted = other.graph()[b.id()].attrs<graph::ConstantAttrs>().value;
    EXPECT_EQ(shared.data(), stored.data());
    EXPECT_EQ(converted.type(), DType::bf16);
    EXPECT_EQ(converted.to(DType::f32).span<float>()[5], 1.5F);
}

TEST(Builder, NamesAMissingWeight) {
    const auto source = weights({});
    Builder b("unet", DType::f32, &source);
    const auto scope = b.module("mid_block");
    EXPECT_THAT(usage_message([&] {
                    b.linear(b.real_input("x", {1, 3}), "proj", 2);
                }),
                AllOf(HasSubstr("models/tiny/unet"), HasSubstr("'mid_block.proj.weight'"),
                      HasSubstr("(2, 3)"), HasSubstr("missing")));
}

TEST(Builder, NamesAMisshapenWeight) {
    const auto source = weights({{"proj.weight", Tensor(DType::f32, {3, 2})}});
    Builder b("unet", DType::f32, &source);
    EXPECT_THAT(usage_message([&] {
                    b.linear(b.real_input("x", {1, 3}), "proj", 2);
                }),
                AllOf(HasSubstr("models/tiny/unet"), HasSubstr("'proj.weight'"), HasSubstr("(3, 2)"),
                      HasSubstr("(2, 3)")));
}

TEST(Builder, RefusesWeightsOfIntegers) {
    const auto source = weights({{"proj.weight", Tensor(DType::i64, {2, 3})}});
    Builder b("unet", DType::f32, &source);
    EXPECT_THAT(usage_message([&] {
                    b.linear(b.real_input("x", {1, 3}), "proj", 2, false);
                }),
                AllOf(HasSubstr("'proj.weight'"), HasSubstr("i64")));
}

TEST(Builder, AcceptsTrailingOnes) {
    const auto source = weights({{"proj.weight", Tensor(DType::f32, {2, 3, 1, 1})}});
    Builder b("unet", DType::f32, &source);
    EXPECT_EQ(b.linear(b.real_input("x", {1, 3}), "proj", 2, false).shape(), (Shape{1, 2}));
    EXPECT_NO_THROW(b.finish());

    Builder c("unet", DType::f32, &source);  // but not fewer than the layer has
    EXPECT_THAT(usage_message([&] { c.weight("proj.weight", {2, 3, 1, 1, 1}); }), HasSubstr("(2, 3, 1, 1)"));
}

TEST(Builder, NamesWeightsLeftOver) {
    const MapWeights::Map tensors = {{"a", Tensor(DType::f32, {1})},
                                     {"position_ids", Tensor(DType::i64, {1, 4})},
                                     {"extra.weight", Tensor(DType::f32, {2})},
                                     {"extra.bias", Tensor(DType::f32, {2})}};
    const auto finish = [](const MapWeights& source, const std::vector<std::string>& ignored) {
        Builder b("unet", DType::f32, &source);
        b.output("a", b.weight("a", {1}));
        return b.finish(ignored);
    };
    const CapturedLog log;
    finish(weights(tensors), {"position_ids", "extra.*"});
    EXPECT_EQ(log.text(), "");
    finish(weights(tensors), {"position_ids", "extra.w*"});
    EXPECT_THAT(log.text(), AllOf(HasSubstr("1 weight is left over"), HasSubstr("'extra.bias'")));
    const auto source = weights(tensors);
    finish(source, {});
    const std::string said = log.text();
    EXPECT_THAT(said, AllOf(HasSubstr("models/tiny/unet"), HasSubstr("3 weights are left over")));
    finish(source, {});
    EXPECT_EQ(log.text(), said) << "said once for each source";
}

TEST(Builder, MakesOneConstantOfAWeightReadTwice) {
    const auto source = weights({{"fc.weight", Tensor(DType::f32, {3, 3})}});
    Builder b("unet", DType::f32, &source);
    const Value x = b.real_input("x", {1, 3});
    b.output("y", b.linear(b.linear(x, "fc", 3, false), "fc", 3, false));
    const auto graph = b.finish();
    EXPECT_EQ(parameter_count(graph, 0), 9);
    EXPECT_EQ(graph.modules[static_cast<std::size_t>(graph.find_module("fc"))].invocations, 2);

    Builder c("unet", DType::f32, nullptr);
    c.weight("w", {2, 3});
    EXPECT_THROW(c.weight("w", {3, 2}), Error);
}

TEST(Builder, CountsInvocationsAndOutputs) {
    Builder b("unet", DType::f32, nullptr);
    const Value x = b.real_input("x", {1, 3});
    Value y = x;
    for (int i = 0; i < 2; ++i) {
        auto scope = b.module("block", ModuleKind::block);
        scope.takes({y});
        y = scope.returns(b.silu(y));
    }
    Value left, right;
    {
        auto scope = b.module("pair", ModuleKind::block);
        left = scope.returns(y);
        right = scope.returns(b.silu(y));
    }
    b.output("y", left + right);
    const auto graph = b.finish();
    const auto& block = graph.modules[static_cast<std::size_t>(graph.find_module("block"))];
    const auto& pair = graph.modules[static_cast<std::size_t>(graph.find_module("pair"))];
    EXPECT_EQ(block.invocations, 2);
    EXPECT_EQ(block.outputs.size(), 2U);
    EXPECT_EQ(block.inputs[0], x.id());
    EXPECT_EQ(pair.invocations, 1);
    EXPECT_THAT(pair.outputs, ElementsAre(left.id(), right.id()));
    EXPECT_EQ(graph[right.id()].op, Op::module_output);
    EXPECT_EQ(graph[right.id()].attrs<graph::ModuleOutputAttrs>().index, 1);
}

TEST(Builder, RefusesValuesOfOtherGraphs) {
    Builder a("one", DType::f32, nullptr), b("two", DType::f32, nullptr);
    const Value x = a.real_input("x", {2});
    EXPECT_THROW(b.silu(x), Error);
    EXPECT_THROW(a.silu(Value()), Error);
}

TEST(Builder, ShapesAndAxes) {
    Builder b("shapes", DType::bf16, nullptr);
    const Value x = b.real_input("x", {2, 6, 4});
    EXPECT_EQ(b.graph()[x.id()].type, DType::bf16);
    EXPECT_EQ(b.graph()[b.graph().inputs[0]].type, DType::f32);
    EXPECT_EQ(x.dim(-1), 4);
    EXPECT_EQ(x.dim(1), 6);
    EXPECT_EQ(b.reshape(x, {2, -1}).shape(), (Shape{2, 24}));
    EXPECT_EQ(b.split(x, 3, 1)[2].shape(), (Shape{2, 2, 4}));
    EXPECT_EQ(b.slice(x, -1, 1, 3).shape(), (Shape{2, 6, 2}));
    EXPECT_EQ(b.concat({x, x}, -1).shape(), (Shape{2, 6, 8}));
    EXPECT_EQ(b.softmax(x, -2).shape(), x.shape());
    EXPECT_EQ(b.repeat(x, 0, 1).id(), x.id());
    EXPECT_EQ(b.convert(x, DType::bf16).id(), x.id());
    EXPECT_EQ(b.embedding(b.input("ids", {2, 3}, DType::i64), "table", 9, 4).shape(), (Shape{2, 3, 4}));
    const Value picture = b.real_input("picture", {1, 3, 8, 8});
    EXPECT_EQ(b.conv2d(picture, "conv", 5, 3, 2).shape(), (Shape{1, 5, 4, 4}));
    EXPECT_EQ(b.conv2d(picture, "down", 5, 3, 2, 0).shape(), (Shape{1, 5, 3, 3}));
    const Value scores = b.attention(x, x, x, {2, {}, false, {}});
    EXPECT_FLOAT_EQ(b.graph()[scores.id()].attrs<graph::AttentionAttrs>().scale, 1 / std::sqrt(2.0F));
}

}  // namespace

}  // namespace reprise::test
