#include "cachify/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "cachify/combination.h"
#include "cachify/executor.h"
#include "cachify/support.h"
#include "graph/builder.h"
#include "models/denoiser.h"
#include "reprise/error.h"

namespace reprise::cachify {
namespace {

std::vector<int> count_up(int n) {
    std::vector<int> steps(static_cast<std::size_t>(n));
    std::iota(steps.begin(), steps.end(), 0);
    return steps;
}

/// A small U: conv_in, two down blocks with skips, a middle, two up blocks; text projected in the middle.
graph::Graph small_unet() {
    graph::Builder b("unet", DType::f32, nullptr);
    const Shape shape = {1, 2, 4, 4};
    const graph::Value sample = b.input(models::latents_input(shape));
    const graph::Value text = b.input(models::fixed_input("encoder_hidden_states", {1, 3, 8}));
    graph::Value x = b.conv2d(sample, "conv_in", 2, 3);
    const graph::Value first = x;
    std::vector<graph::Value> skips;
    for (int i = 0; i < 2; ++i) {
        auto block = b.module("down_blocks." + std::to_string(i), ModuleKind::block);
        block.takes({x});
        const auto y = b.conv2d(x, "conv", 2, 3);
        x = block.returns(y);
        skips.push_back(block.returns(y));
    }
    {
        auto block = b.module("mid_block", ModuleKind::block);
        block.takes({x});
        const auto keys = b.linear(text, "to_k", 2);
        const auto tokens = b.transpose(b.reshape(x, {1, 2, 16}), {0, 2, 1});
        const auto attended = b.attention(tokens, keys, keys, {});
        x = block.returns(x + b.reshape(b.transpose(attended, {0, 2, 1}), shape));
    }
    for (int i = 0; i < 2; ++i) {
        auto block = b.module("up_blocks." + std::to_string(i), ModuleKind::block);
        block.takes({x});
        const auto skip = i == 0 ? skips[1] : first;
        x = block.returns(b.conv2d(b.concat({x, skip}, 1), "conv", 2, 3));
    }
    b.output("sample", b.conv2d(x, "conv_out", 2, 3));
    return b.finish();
}

Plan plan_of(const graph::Graph& graph, const Config& config, int steps, double variant_budget = -1,
             int branches = 1) {
    PlanRequest request;
    request.steps_of_evaluations = count_up(steps);
    request.pieces.variant_bytes = variant_budget;
    return make_plan(graph, make_schedule(graph, config, steps, branches), request);
}

const Config kAllButLast = {{ModuleFilter::negation("up_blocks.1"), "step % 2 != 0"}};

TEST(Plan, ReusesWithThreeSegmentsAndOneSlot) {
    const auto graph = small_unet();
    const Plan plan = plan_of(graph, kAllButLast, 6);
    // conv_in; what is reused; up_blocks.1 and conv_out; and the text's keys
    EXPECT_EQ(plan.segments.size(), 4U);
    EXPECT_EQ(plan.partition.runs[0][0].size(), 3U);
    EXPECT_EQ(plan.partition.runs[0][1].size(), 2U);
    // only up_blocks.0's output is kept; the skips and everything else are not needed
    EXPECT_EQ(plan.program.kept_bytes(), 1U * 2 * 4 * 4 * sizeof(float));
    EXPECT_EQ(plan.full_program.kept_bytes(), 0U);
    Config halved = kAllButLast;
    halved[0].store.kept_in = DType::f16;
    const Plan half = plan_of(graph, halved, 6);
    EXPECT_EQ(half.program.kept_bytes(), plan.program.kept_bytes() / 2);
    EXPECT_EQ(half.cost_of_execution(1).flops, plan.cost_of_execution(1).flops);
    EXPECT_LT(plan.cost_of_execution(1).flops, plan.cost_of_execution(0).flops / 2);
    EXPECT_DOUBLE_EQ(plan.cost_of_execution(0).flops, plan.cost_of_full().flops);
    EXPECT_GT(plan.expected_speedup(), 1.3);
}

TEST(Plan, SaysAtWhichStepsTheLatentsHaveNoPart) {
    const auto graph = small_unet();
    EXPECT_THAT(plan_of(graph, {{"*", "step % 2 != 0"}}, 6).advice,
                ::testing::ElementsAre(::testing::HasSubstr("at steps 1, 3, 5 the result does not depend")));
    EXPECT_TRUE(plan_of(graph, {{"*", "step % 2 != 0", {ModuleKind::block}, {Store::Rule::delta}}}, 6)
                    .advice.empty());
    // an extrapolation is meant to do without them
    EXPECT_TRUE(plan_of(graph, {{"*", "step % 2 != 0", {ModuleKind::block}, {Store::Rule::forecast}}}, 6)
                    .advice.empty());
}

TEST(Plan, WholeExecutionsAreCompiledWhereTheyFit) {
    const auto graph = small_unet();
    const Plan plan = plan_of(graph, kAllButLast, 6, 1e9);
    EXPECT_TRUE(plan.partition.variants);
    for (const auto& runs : plan.partition.runs[0]) EXPECT_EQ(runs.size(), 1U);
}

/// What an engine's pieces cost says how a plan is cut.
TEST(Plan, TheEngineSaysHowItIsCut) {
    const auto graph = small_unet();
    Config config = kAllButLast;
    const auto segments = [&](const std::function<void(backends::PieceTraits&)>& change) {
        PlanRequest request;
        request.steps_of_evaluations = count_up(6);
        request.pieces.variant_bytes = -1;
        change(request.pieces);
        const Plan plan = make_plan(graph, make_schedule(graph, config, 6, 1), request);
        return plan.partition.variants ? 0 : plan.segments.size();
    };
    EXPECT_EQ(segments([](auto&) {}), 4U);
    EXPECT_EQ(segments([](auto& pieces) { pieces.shares_weights = true; }), 0U);
    EXPECT_EQ(segments([](auto& pieces) {
                  pieces.shares_weights = true;
                  pieces.max_variants = 1;
              }),
              4U);
    EXPECT_EQ(segments([](auto& pieces) {
                  pieces.variant_bytes = 1e9;
                  pieces.max_variants = 2;
              }),
              0U);
    EXPECT_GT(segments([](auto& pieces) { pieces.piece_bytes = 200; }), 4U);
    // What is added is needed for step 3 alone: a piece of its own where pieces cost nothing.
    config = {{"up_blocks.0", "step == 3", {ModuleKind::block}, {Store::Rule::delta}}};
    EXPECT_GT(segments([](auto& pieces) { pieces.launch_flops = 0; }), segments([](auto&) {}));
}

/// Pictures of a run share what ends with an execution, and nothing else.
TEST(Plan, PicturesShareScratchMemory) {
    auto graph = small_unet();
    for (auto& node : graph.nodes) {
        if (node.op != graph::Op::constant) continue;
        auto& constant = std::get<graph::ConstantAttrs>(node.attributes);
        constant.value = Tensor(constant.type, constant.shape);
        float next = 0.5F;
        for (float& element : constant.value.span<float>()) element = next = 0.3F - 0.9F * next;
    }
    const backends::Engine engine{backends::create("reference"), {}};
    const auto executor = std::make_shared<const Executor>(
        std::make_shared<const Plan>(plan_of(graph, kAllButLast, 2)), engine);
    const auto workspace = std::make_shared<Workspace>(executor);
    std::vector<Generation> pictures, alone;
    std::vector<const void*> places;
    for (int picture = 0; picture < 2; ++picture) {
        pictures.emplace_back(workspace);
        alone.emplace_back(executor);
        for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
            const graph::Node& input = graph[graph.inputs[i]];
            Tensor value(input.type, input.shape);
            for (float& element : value.span<float>()) element = static_cast<float>(picture) + 0.5F;
            pictures.back().bind(0, i, value);
            alone.back().bind(0, i, value);
        }
        pictures.back().begin();
        alone.back().begin();
    }
    for (int step = 0; step < 2; ++step)
        for (std::size_t picture = 0; picture < 2; ++picture) {
            const Tensor together = pictures[picture].to_host(pictures[picture].run()).front();
            const Tensor own = alone[picture].to_host(alone[picture].run()).front();
            ASSERT_TRUE(reprise::testing::same_bits(together, own)) << step << ' ' << picture;
            places.push_back(together.data());
        }
    EXPECT_EQ(places[0], places[1]);
}

TEST(Plan, AStepThatKeepsNothingDoesNotStore) {
    const auto graph = small_unet();
    const Plan plan = plan_of(graph, {{ModuleFilter::negation("up_blocks.1"), "step == 1"}}, 6);
    const auto kept = [&](std::size_t x) {
        const auto& bits = plan.analysis.executions[x].kept;
        return std::count(bits.begin(), bits.end(), true);
    };
    EXPECT_EQ(kept(0), 1);
    for (std::size_t x = 1; x < 6; ++x) EXPECT_EQ(kept(x), 0) << x;
}

TEST(Plan, WithoutConfigurationThereIsOnePieceAndThePrologue) {
    const auto graph = small_unet();
    const Plan plan = plan_of(graph, {}, 4);
    EXPECT_EQ(plan.segments.size(), 2U);
    EXPECT_EQ(plan.program.kept_bytes(), 0U);
    EXPECT_EQ(plan.program.prologue_bytes(), 3U * 2 * sizeof(float));
    EXPECT_DOUBLE_EQ(plan.expected_speedup(), 1.0);
}

TEST(Plan, ReuseBeforeTheFirstRunNamesModuleAndStep) {
    const auto graph = small_unet();
    try {
        plan_of(graph, {{"mid_block", "step < 2"}}, 4);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("'mid_block'"));
        EXPECT_THAT(error.what(), ::testing::HasSubstr("step 0"));
    }
}

TEST(Plan, SlotsBelongToABranch) {
    const auto graph = small_unet();
    const Plan plan = plan_of(graph, kAllButLast, 4, -1, 2);
    EXPECT_EQ(plan.program.kept_bytes(), 2U * 2 * 4 * 4 * sizeof(float));
    EXPECT_EQ(plan.analysis.sequence.size(), 8U);
}

TEST(Plan, SegmentsOfOneCutHaveTheSameContent) {
    const auto graph = small_unet();
    const auto contents = [&](const Config& config, int steps) {
        std::vector<std::string> result;
        for (const Segment& segment : plan_of(graph, config, steps).segments)
            result.push_back(segment.content);
        return result;
    };
    EXPECT_EQ(contents(kAllButLast, 6), contents(kAllButLast, 20));
    EXPECT_NE(contents(kAllButLast, 6), contents({{"mid_block", "step == 1"}}, 6));
    EXPECT_NE(contents(kAllButLast, 6), contents({}, 6));
}

/// All but the last block, kept for that rule.
Config kept_as(Store store, const char* steps) {
    return {{ModuleFilter::negation("up_blocks.1"), steps, {ModuleKind::block}, std::move(store)}};
}

TEST(Plan, KeepsAsManyValuesAsASumHasTerms) {
    const auto graph = small_unet();
    const std::size_t one = plan_of(graph, kAllButLast, 6).program.kept_bytes();
    Store store{Store::Rule::linear};
    store.weights = {{0.5, 0.25, 0.25}};
    EXPECT_EQ(plan_of(graph, kept_as(store, "step > 2"), 6).program.kept_bytes(), 3 * one);
    // What is kept follows from the weights of the steps that reuse.
    store.weights = {{1}, {1}, {1}, {1}, {2, -1}, {1}};
    EXPECT_EQ(plan_of(graph, kept_as(store, "step == 5"), 6).program.kept_bytes(), one);
    EXPECT_EQ(plan_of(graph, kept_as(store, "step > 3"), 6).program.kept_bytes(), 2 * one);
    EXPECT_TRUE(plan_of(graph, kept_as(store, "step > 3"), 6).advice.empty());
}

TEST(Plan, ASumOfMoreThanThereAreNamesModuleAndStep) {
    const auto graph = small_unet();
    Store store{Store::Rule::linear};
    store.weights = {{3, -3, 1}};
    const Config config = kept_as(store, "step > 1");
    const std::string error = reprise::testing::error_of([&] { plan_of(graph, config, 4); });
    EXPECT_THAT(error,
                ::testing::HasSubstr("'down_blocks.0' is to be reused at step 2 as a sum of its last 3 "
                                     "outputs but is certain to have run only 2 times before"));
    EXPECT_EQ(reprise::testing::error_of([&] { plan_of(graph, kept_as(store, "step > 2"), 4); }), "");
}

TEST(Plan, LooksBackAsFarAsItsDeepestRule) {
    const auto graph = small_unet();
    const auto depth = [&](const Config& config) { return look_back(make_schedule(graph, config, 6, 2)); };
    Store linear{Store::Rule::delta_linear};
    linear.weights = {{}, {1}, {}, {}, {1, 1, 1, 1}};
    EXPECT_EQ(depth({}), 1);
    EXPECT_EQ(depth(kAllButLast), 1);
    EXPECT_EQ(depth(kept_as({Store::Rule::forecast, 2}, "step == 3")), 3);
    EXPECT_EQ(depth(kept_as(linear, "step == 4")), 4);
    EXPECT_EQ(depth({{"unconditional", "step == 3", {ModuleKind::guidance}, {Store::Rule::forecast, 1}}}), 2);
}

TEST(Forecast, WeightsExtrapolate) {
    const auto at = [](const std::vector<int>& when, int now, int order, auto&& function) {
        const auto weights = forecast_weights(when, now, order);
        double sum = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) sum += weights[i] * function(when[i]);
        return sum;
    };
    const auto line = [](double t) { return 3 * t - 2; };
    EXPECT_NEAR(at({4, 2, 0}, 7, 1, line), line(7), 1e-5);
    EXPECT_NEAR(at({5, 2}, 6, 2, line), line(6), 1e-5);  // too few values for the order: what there is
    EXPECT_EQ(forecast_weights({3}, 5, 2), std::vector<float>{1});
    // diffusers' recursion: f1 = (y2 - y1)/g, f2 = (f1 - f1_before)/g, y2 + f1 h + f2 h^2 / 2
    const double y0 = 1, y1 = 2.5, y2 = 7;
    const double f1_before = (y1 - y0) / 3, f1 = (y2 - y1) / 2, f2 = (f1 - f1_before) / 2;
    const auto weights = forecast_weights({5, 3, 0}, 8, 2);
    EXPECT_NEAR(weights[0] * y2 + weights[1] * y1 + weights[2] * y0, y2 + f1 * 3 + f2 * 9 / 2, 1e-5);
}

}  // namespace
}  // namespace reprise::cachify
