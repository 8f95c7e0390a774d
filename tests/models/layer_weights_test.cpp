// Weights that are not plain: packed ones, and low-rank pairs beside them.
#include <cstring>

#include "core/generator.h"
#include "core/map_weights.h"
#include "files/altered_weights.h"
#include "graph/builder.h"
#include "graph/content.h"
#include "support.h"

namespace reprise {
namespace {

using graph::Builder;
using graph::Value;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::relative_difference;
using testing::usage_message;

Tensor drawn(std::uint64_t seed, const Shape& shape) {
    return Generator(seed).randn(shape);
}

std::shared_ptr<const WeightSource> base() {
    return std::make_shared<MapWeights>(MapWeights::Map{{"linear.weight", drawn(1, {6, 8})},
                                                        {"linear.bias", drawn(2, {6})},
                                                        {"conv.weight", drawn(3, {5, 4, 3, 3})},
                                                        {"conv.bias", drawn(4, {5})},
                                                        {"table.weight", drawn(5, {7, 8})}},
                                        "the file");
}

/// The base with one weight altered.
std::shared_ptr<const WeightSource> altered(const std::string& name,
                                            std::function<Weight(const Weight&)> apply,
                                            const std::string& identity = "a") {
    return std::make_shared<AlteredWeights>(base(), Alterations{{name, {identity, std::move(apply)}}});
}

graph::Graph linear(const WeightSource& weights, DType precision = DType::f32) {
    Builder b("model", precision, &weights);
    b.output("y", b.convert(b.linear(b.real_input("x", {3, 8}), "linear", 6), DType::f32));
    return b.finish({"*"});
}

graph::Graph convolution(const WeightSource& weights) {
    Builder b("model", DType::f32, &weights);
    b.output("y", b.conv2d(b.real_input("x", {2, 4, 9, 7}), "conv", 5, 3, 2));
    return b.finish({"*"});
}

Tensor result(const graph::Graph& graph, DType precision = DType::f32) {
    const Shape shape = graph[graph.inputs.front()].shape;
    return testing::run("reference", graph, {drawn(9, shape)}, precision).at("y");
}

bool same_bits(const Tensor& a, const Tensor& b) {
    return a.shape() == b.shape() && a.type() == b.type() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

/// By hand: weight + strength * up @ down, each sum in the order of the ranks.
Tensor by_hand(const Tensor& weight, const LowRank& pair) {
    Tensor sum = weight.clone();
    const auto rows = static_cast<std::size_t>(weight.dim(0));
    const auto rank = static_cast<std::size_t>(pair.down.dim(0));
    const std::size_t columns = weight.span<float>().size() / rows;
    for (std::size_t o = 0; o < rows; ++o)
        for (std::size_t i = 0; i < columns; ++i) {
            float delta = 0;
            for (std::size_t r = 0; r < rank; ++r)
                delta += pair.up.span<float>()[o * rank + r] * pair.down.span<float>()[r * columns + i];
            sum.span<float>()[o * columns + i] += pair.strength * delta;
        }
    return sum;
}

std::function<Weight(const Weight&)> adding(const LowRank& pair) {
    return [pair](const Weight& stored) {
        Weight weight = stored;
        weight.low_rank.push_back(pair);
        return weight;
    };
}

TEST(LowRank, BesideALinearLayerIsTheMergedWeight) {
    const LowRank pair{drawn(6, {2, 8}), drawn(7, {6, 2}), 0.75F};
    const Tensor sum = by_hand(*base()->find("linear.weight"), pair);
    const Tensor expected = result(linear(*altered("linear.weight", [&](const Weight&) { return sum; })));
    const auto beside = linear(*altered("linear.weight", adding(pair)));
    EXPECT_LT(relative_difference(result(beside).span<float>(), expected.span<float>()), 1e-6);
    EXPECT_GT(relative_difference(result(linear(*base())).span<float>(), expected.span<float>()), 0.1);

    const Alteration merge = merging({"pair", adding(pair)});
    EXPECT_TRUE(same_bits(*altered("linear.weight", merge.apply)->find("linear.weight"), sum));
    EXPECT_TRUE(same_bits(result(linear(*altered("linear.weight", merge.apply))), expected));
}

TEST(LowRank, BesideAConvolutionIsTheMergedWeight) {
    const LowRank pair{drawn(6, {2, 4, 3, 3}), drawn(7, {5, 2, 1, 1}), -0.5F};
    const Tensor sum = by_hand(*base()->find("conv.weight"), pair);
    const Tensor expected = result(convolution(*altered("conv.weight", [&](const Weight&) { return sum; })));
    const Tensor beside = result(convolution(*altered("conv.weight", adding(pair))));
    EXPECT_LT(relative_difference(beside.span<float>(), expected.span<float>()), 1e-6);
    const Alteration merge = merging({"pair", adding(pair)});
    EXPECT_TRUE(same_bits(result(convolution(*altered("conv.weight", merge.apply))), expected));
}

TEST(LowRank, SeveralAreAddedAndFitEitherShape) {
    const LowRank first{drawn(6, {2, 8, 1, 1}), drawn(7, {6, 2, 1, 1}), 0.5F};  // as of a 1x1 convolution
    const LowRank second{drawn(8, {3, 8}), drawn(10, {6, 3}), 0.25F};
    const Tensor stored = *base()->find("linear.weight");
    const auto both = [&](const Weight& weight) { return adding(second)(adding(first)(weight)); };
    const Tensor expected =
        result(linear(*altered("linear.weight", [&](const Weight& w) { return merged(both(w)); })));
    const Tensor beside = result(linear(*altered("linear.weight", both)));
    EXPECT_LT(relative_difference(beside.span<float>(), expected.span<float>()), 1e-6);
    EXPECT_THAT(usage_message([&] { altered("linear.weight", both)->find("linear.weight"); }),
                AllOf(HasSubstr("'linear.weight'"), HasSubstr("2 low-rank pairs")));
    LowRank wrong = second;
    wrong.up = Tensor(DType::f32, {5, 3});
    EXPECT_THROW(merged(adding(wrong)(stored)), Error);
    EXPECT_THROW(linear(*altered("linear.weight", adding(wrong))), Error);
}

/// Rounds a weight to integers in groups.
PackedWeight packed(const Tensor& weight, int bits, std::int64_t group, bool is_signed) {
    const std::int64_t rows = weight.dim(0), columns = weight.count() / rows;
    PackedWeight result{weight.shape(),
                        bits,
                        is_signed,
                        group,
                        Tensor(is_signed ? DType::i8 : DType::u8, {rows, columns * bits / 8}),
                        Tensor(DType::f32, {rows, columns / group}),
                        is_signed ? Tensor() : Tensor(DType::f32, {rows, columns / group})};
    const int levels = 1 << bits;
    for (std::int64_t at = 0; at < weight.count() / group; ++at) {
        const auto values = weight.span<float>().subspan(static_cast<std::size_t>(at * group),
                                                         static_cast<std::size_t>(group));
        const auto [least, most] = std::minmax_element(values.begin(), values.end());
        const float low = is_signed ? -std::max(-*least, *most) : *least;
        const float high = is_signed ? -low : *most;
        const float scale = (high - low) / static_cast<float>(is_signed ? levels - 2 : levels - 1);
        const float zero = is_signed ? 0.0F : -low / scale;
        result.scales.span<float>()[static_cast<std::size_t>(at)] = scale;
        if (!is_signed) result.zeros.span<float>()[static_cast<std::size_t>(at)] = zero;
        for (std::int64_t i = 0; i < group; ++i) {
            const auto value =
                static_cast<int>(std::lround(values[static_cast<std::size_t>(i)] / scale + zero));
            const auto place = static_cast<std::size_t>(at * group + i);
            auto& byte = result.values.span<std::uint8_t>()[place * static_cast<std::size_t>(bits) / 8];
            const auto code = static_cast<unsigned>(value) & static_cast<unsigned>(levels - 1);
            byte = static_cast<std::uint8_t>(bits == 8 ? code : byte | (place % 2 == 0 ? code : code << 4U));
        }
    }
    return result;
}

TEST(PackedWeight, UnpacksToWithinHalfAStep) {
    for (const int bits : {8, 4})
        for (const bool is_signed : {true, false})
            for (const std::int64_t group : {36, 12, 4}) {
                const Tensor weight = *base()->find("conv.weight");
                const auto small = packed(weight, bits, group, is_signed);
                const Tensor back = unpacked(small);
                ASSERT_EQ(back.shape(), weight.shape());
                for (std::size_t i = 0; i < back.span<float>().size(); ++i)
                    EXPECT_LE(std::abs(back.span<float>()[i] - weight.span<float>()[i]),
                              0.5001F * small.scales.span<float>()[i / static_cast<std::size_t>(group)])
                        << bits << (is_signed ? " signed " : " ") << group;
            }
}

TEST(PackedWeight, IsUnfoldedInLayersAlone) {
    const auto pack = [](const Weight& stored) {
        return packed(std::get<Tensor>(stored.values), 8, 4, true);
    };
    const auto plain = [&](const Weight& stored) { return unpacked(pack(stored)); };
    EXPECT_TRUE(same_bits(result(linear(*altered("linear.weight", pack))),
                          result(linear(*altered("linear.weight", plain)))));
    EXPECT_TRUE(same_bits(result(convolution(*altered("conv.weight", pack))),
                          result(convolution(*altered("conv.weight", plain)))));
    EXPECT_TRUE(same_bits(result(linear(*altered("linear.weight", pack), DType::bf16), DType::bf16),
                          result(linear(*altered("linear.weight", plain), DType::bf16), DType::bf16)));

    const auto table = altered("table.weight", pack);
    Builder b("model", DType::f32, table.get());
    EXPECT_THAT(usage_message([&] {
                    b.embedding(b.input("ids", {1, 2}, DType::i64), "table", 7, 8);
                }),
                AllOf(HasSubstr("the file"), HasSubstr("'table.weight'"), HasSubstr("packed in 8 bits"),
                      HasSubstr("linear layers and convolutions")));
    const auto bias = altered("linear.bias", pack);
    EXPECT_THAT(usage_message([&] { linear(*bias); }), HasSubstr("'linear.bias'"));
}

TEST(PackedWeight, AndPairsGoTogether) {
    const LowRank pair{drawn(6, {2, 8}), drawn(7, {6, 2}), 1};
    const auto both = [&](const Weight& stored) {
        return adding(pair)(packed(std::get<Tensor>(stored.values), 4, 8, false));
    };
    const Tensor beside = result(linear(*altered("linear.weight", both)));
    const Tensor merged_in = result(linear(*altered("linear.weight", merging({"", both}).apply)));
    EXPECT_LT(relative_difference(beside.span<float>(), merged_in.span<float>()), 1e-6);
}

TEST(PackedWeight, WhatDoesNotFitIsNamed) {
    const auto good = packed(*base()->find("linear.weight"), 8, 4, false);
    const auto message = [&](auto change) {
        auto wrong = good;
        change(wrong);
        try {
            check(wrong);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_EQ(message([](PackedWeight&) {}), "");
    EXPECT_THAT(message([](PackedWeight& w) { w.bits = 2; }), HasSubstr("2 bits"));
    EXPECT_THAT(message([](PackedWeight& w) { w.group = 3; }), HasSubstr("groups of 3"));
    EXPECT_THAT(message([](PackedWeight& w) { w.bits = 4; }), HasSubstr("expected bytes of (6, 4)"));
    EXPECT_THAT(message([](PackedWeight& w) {
                    w.zeros = Tensor(DType::f32, {6, 1});
                }),
                HasSubstr("zeros of (6, 1)"));
}

// Graphs know whose their constants are.
TEST(AlteredWeights, GiveOtherContentsToWhatReadsThem) {
    const auto same = [](const Weight& weight) { return weight; };
    const auto one = altered("linear.weight", same, "one");
    const auto two = altered("linear.weight", same, "two");
    EXPECT_EQ(graph::content_of(linear(*one)),
              graph::content_of(linear(*altered("linear.weight", same, "one"))));
    EXPECT_NE(graph::content_of(linear(*one)), graph::content_of(linear(*two)));
    EXPECT_NE(graph::content_of(linear(*one)), graph::content_of(linear(*base())));
    EXPECT_EQ(graph::content_of(convolution(*one)), graph::content_of(convolution(*base())));
    EXPECT_NE(one->identity(), two->identity());
    EXPECT_NE(one->identity(), base()->identity());
}

TEST(AlteredWeights, HoldWhatTheyAlterAlone) {
    const auto source = base();
    int made = 0;
    const AlteredWeights weights(source, {{"conv.weight", {"twice", [&](const Weight& stored) {
                                                               ++made;
                                                               Tensor twice =
                                                                   std::get<Tensor>(stored.values).clone();
                                                               for (float& value : twice.span<float>())
                                                                   value *= 2;
                                                               return twice;
                                                           }}}});
    EXPECT_EQ(made, 0);
    std::size_t own = 0;
    for (int time = 0; time < 2; ++time) {
        own = 0;
        for (const auto& name : weights.names()) {
            const Tensor tensor = *weights.find(name);
            if (tensor.data() != source->find(name)->data()) own += tensor.bytes();
        }
    }
    EXPECT_EQ(own, source->find("conv.weight")->bytes());
    EXPECT_EQ(made, 1);
    EXPECT_EQ(weights.find("conv.weight")->data(), weights.find("conv.weight")->data());
    EXPECT_THAT(usage_message([&] {
                    AlteredWeights(source, {{"none.weight", {}}});
                }),
                AllOf(HasSubstr("the file"), HasSubstr("'none.weight'")));
}

}  // namespace
}  // namespace reprise
