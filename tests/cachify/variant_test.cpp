#include "cachify/variant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "cachify/executor.h"
#include "cachify/naive.h"
#include "cachify/support.h"
#include "graph/builder.h"
#include "models/denoiser.h"

namespace reprise::cachify::testing {
namespace {

using reprise::testing::same_bits;

const Shape kShape = {1, 1, 1, 4};
constexpr std::size_t kBytes = 4 * sizeof(float);

/// Three blocks in a row, of which the middle one has a module inside.
graph::Graph three_blocks() {
    graph::Builder b("denoiser", DType::f32, nullptr);
    graph::Value x = b.input(models::latents_input(kShape));
    for (int i = 0; i < 3; ++i) {
        auto block = b.module("block." + std::to_string(i), ModuleKind::block);
        block.takes({x});
        {
            auto inner = b.module("attn", ModuleKind::self_attention);
            inner.takes({x});
            x = inner.returns(b.silu(x));
        }
        x = block.returns(x * 1.5F);
    }
    b.output("sample", x);
    return b.finish();
}

/// The middle block by other arithmetic.
Variant other(const graph::Graph& graph, float factor) {
    graph::Builder b("other", DType::f32, nullptr);
    const graph::Value x = b.input("x", kShape);
    b.output("out", b.silu(x * factor));
    const graph::ModuleId module = graph.find_module("block.1");
    return {module, b.finish(), graph.modules[static_cast<std::size_t>(module)].inputs};
}

struct Setting {
    graph::Graph graph = three_blocks();
    graph::ModuleId block = graph.find_module("block.1");
    Schedule schedule{6, 1, Count::steps, {}, {}};
    PlanRequest request{{0, 1, 2, 3, 4, 5}, {}, {other(graph, 0.5F), other(graph, 2)}};

    Setting() { request.pieces.variant_bytes = -1; }
    void vary(const std::vector<int>& steps, std::vector<bool> modes = {}) {
        schedule.variant_rules.push_back({block, {steps}, std::move(modes)});
    }
    void reuse(const Store& store, std::vector<bool> steps) {
        schedule.rules.push_back({block, store, {std::move(steps)}});
    }
    Plan plan() const { return make_plan(graph, schedule, request); }

    /// Runs in these modes, one for each step, and compares each with the wrapped modules.
    void expect_as_wrapped(const std::vector<int>& modes) const {
        const auto backend = backends::create("reference");
        Generation generation(std::make_shared<const Executor>(std::make_shared<const Plan>(plan()),
                                                               backends::Engine{backend, {}}));
        Naive naive(graph, schedule, *backend, request.variants);
        generation.begin();
        for (int step = 0; step < 6; ++step) {
            Execution execution{step, step, 0, step, modes[static_cast<std::size_t>(step)]};
            const Tensor sample =
                Tensor::from(kShape, std::vector<float>{0.5F, -1, 2, static_cast<float>(step)});
            generation.bind(0, 0, sample);
            const auto outputs = generation.to_host(generation.run(execution.mode));
            ASSERT_TRUE(same_bits(outputs.front(), naive.run(execution, {sample}).front()))
                << "step " << step;
        }
    }
};

/// The variants whose nodes must run at each step.
std::vector<std::set<int>> made_by(const Plan& plan) {
    std::vector<std::set<int>> result;
    for (const auto& execution : plan.analysis.executions) {
        auto& variants = result.emplace_back();
        for (std::size_t n = 0; n < execution.must.size(); ++n) {
            const auto module = static_cast<std::size_t>(plan.extended.graph.nodes[n].module);
            const int variant = plan.extended.variant_of[module];
            if (execution.must[n] && variant >= 0) variants.insert(variant);
        }
    }
    return result;
}

TEST(Variants, WhatIsKeptIsReadWhicheverMadeIt) {
    Setting setting;
    setting.reuse({Store::Rule::output}, {false, false, true, false, true, true});
    setting.vary({0, 1, 0, 2, 1, 1});
    const Plan plan = setting.plan();
    EXPECT_EQ(made_by(plan), (std::vector<std::set<int>>{{0}, {1}, {}, {2}, {}, {}}));
    // Two of them write the one slot, and steps 2, 4 and 5 read it.
    EXPECT_EQ(plan.program.kept_bytes(), kBytes);
    setting.expect_as_wrapped({0, 0, 0, 0, 0, 0});
}

TEST(Variants, ASumTakesTheValuesOfSeveral) {
    Setting setting;
    Store sum{Store::Rule::delta_linear};
    sum.weights = {{1.5, -0.75, 0.25}};
    setting.reuse(sum, {false, false, false, true, false, true});
    setting.vary({0, 1, 2, 0, 1, 0});
    EXPECT_EQ(setting.plan().program.kept_bytes(), 3 * kBytes);
    setting.expect_as_wrapped({0, 0, 0, 0, 0, 0});
}

TEST(Variants, AModeMayBeAVariantAlone) {
    Setting setting;
    setting.schedule.num_modes = 2;
    setting.vary({0, 1, 1, 0, 2, 2}, {false, true});
    EXPECT_EQ(setting.schedule.modes_at(0), std::vector<int>{0});
    EXPECT_EQ(setting.schedule.modes_at(1), (std::vector<int>{0, 1}));
    setting.expect_as_wrapped({0, 1, 0, 0, 1, 0});
    EXPECT_EQ(setting.plan().program.kept_bytes(), 0U);
}

TEST(Variants, InFullTheGraphsOwnRuns) {
    Setting setting;
    setting.vary({1, 1, 1, 1, 1, 1});
    const Plan plan = setting.plan();
    EXPECT_TRUE(without_reuse(setting.schedule).variant_rules.empty());
    for (const auto& variants : made_by(plan)) EXPECT_EQ(variants, std::set<int>{1});
    Setting plain;
    EXPECT_DOUBLE_EQ(plan.cost_of_full().flops, plain.plan().cost_of_full().flops);
}

TEST(Variants, RulesInsideAreAboutTheGraphsOwn) {
    Setting setting;
    const graph::ModuleId inner = setting.graph.find_module("block.1.attn");
    setting.schedule.rules.push_back({inner, {}, {{false, false, true, false, false, true}}});
    setting.vary({1, 0, 0, 2, 0, 1});
    setting.expect_as_wrapped({0, 0, 0, 0, 0, 0});
    EXPECT_EQ(made_by(setting.plan())[5], std::set<int>{1});
    // At step 2 it has never run where the first steps take another variant.
    setting.schedule.variant_rules.front().variant = {{1, 1, 0, 0, 0, 0}};
    EXPECT_THAT(reprise::testing::error_of([&] { setting.plan(); }),
                ::testing::HasSubstr("'block.1.attn' is to be reused at step 2 but has not run before"));
}

TEST(Variants, ThatDoNotFitAreRefused) {
    const auto refusal = [](auto&& change) {
        Setting setting;
        change(setting);
        try {
            setting.plan();
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_EQ(refusal([](Setting& setting) { setting.vary({0, 1, 2, 0, 0, 0}); }), "");
    EXPECT_THAT(refusal([](Setting& setting) {
                    setting.vary({0, 3, 0, 0, 0, 0});
                }),
                ::testing::HasSubstr("'block.1' has no variant 3"));
    const auto no_fit = ::testing::HasSubstr("a variant of 'block.1' does not fit");
    // what it reads is inside the module, or comes after it
    for (const char* module : {"block.1.attn", "block.2"})
        EXPECT_THAT(refusal([&](Setting& setting) {
                        const auto id = static_cast<std::size_t>(setting.graph.find_module(module));
                        setting.request.variants[0].reads = setting.graph.modules[id].outputs;
                    }),
                    no_fit)
            << module;
    EXPECT_THAT(refusal([](Setting& setting) { setting.request.variants[1].body.outputs.clear(); }), no_fit);
    EXPECT_THAT(refusal([](Setting& setting) { setting.request.variants[1].reads.clear(); }), no_fit);
}

}  // namespace
}  // namespace reprise::cachify::testing
