// Chains of modules, and the whole denoiser, as one unit of reuse.
#include "cachify/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cachify/executor.h"
#include "cachify/naive.h"
#include "cachify/support.h"
#include "graph/builder.h"
#include "models/denoiser.h"
#include "reprise/error.h"

namespace reprise::cachify {
namespace {

using reprise::testing::error_of;
using ::testing::HasSubstr;

const Shape kShape = {1, 1, 1, 4};

/// Three blocks on two streams, of which the last gives one, as in Stable Diffusion 3.
graph::Graph joint_blocks() {
    graph::Builder b("transformer", DType::f32, nullptr);
    graph::Value x = b.input(models::latents_input(kShape));
    graph::Value text = b.input(models::fixed_input("text", kShape));
    for (int i = 0; i < 3; ++i) {
        auto block = b.module(fmt::format("transformer_blocks.{}", i), ModuleKind::block);
        const graph::Value both = b.unary(x + text * 0.5F, graph::Unary::tanh);
        if (i == 2) {
            block.takes({x});
            x = block.returns(x + both * 0.25F);
        } else {
            block.takes({text, x});
            text = block.returns(text + both * 0.125F);
            x = block.returns(x + both);
        }
    }
    b.output("sample", x * 2);
    return b.finish();
}

Entry chain(const char* pattern, Store store = {Store::Rule::delta}) {
    return {pattern, "step % 2 != 0", {ModuleKind::block}, store, true};
}

/// Outputs of each step, by plan and naively.
void expect_as_wrapped(const graph::Graph& graph, const Config& config,
                       std::vector<Tensor>* outputs = nullptr) {
    const auto units = with_units(graph, config);
    ASSERT_TRUE(units.has_value());
    const auto backend = backends::create("reference");
    const Schedule schedule = make_schedule(units->graph, units->config, 4, 1);
    PlanRequest request;
    request.steps_of_evaluations = {0, 1, 2, 3};
    const auto plan = std::make_shared<const Plan>(make_plan(units->graph, schedule, request));
    const auto executor = std::make_shared<const Executor>(plan, backends::Engine{backend, {}});
    Generation generation(executor);
    testing::Naive naive(units->graph, schedule, *backend);
    const Tensor text = Tensor::from(kShape, std::vector<float>{0.1F, -0.5F, 1, 0.3F});
    generation.bind(0, 1, text);
    generation.begin();
    while (const Execution* now = generation.next()) {
        const Execution execution = *now;
        const auto step = static_cast<float>(execution.step);
        const Tensor sample = Tensor::from(kShape, std::vector<float>{step, 1 - step, 0.5F, -step / 2});
        generation.bind(0, 0, sample);
        const Tensor output = generation.to_host(generation.run()).front().clone();
        const Tensor expected = naive.run(execution, {sample, text}).front();
        for (std::size_t i = 0; i < 4; ++i) ASSERT_EQ(output.span<float>()[i], expected.span<float>()[i]);
        if (outputs != nullptr) outputs->push_back(output);
    }
}

TEST(Units, AChainKeepsWhatItsModulesAddTogether) {
    const graph::Graph graph = joint_blocks();
    const Config config = {chain("transformer_blocks.*")};
    const auto units = with_units(graph, config);
    const auto id = units->graph.find_module("transformer_blocks.0-2");
    ASSERT_GT(id, 0);
    const auto& unit = units->graph.modules[static_cast<std::size_t>(id)];
    EXPECT_EQ(unit.kind, ModuleKind::chain);
    EXPECT_EQ(unit.inputs, std::vector<graph::NodeId>{units->graph.inputs[0]});  // the picture's stream
    EXPECT_EQ(unit.outputs.size(), 1U);
    std::vector<Tensor> outputs;
    expect_as_wrapped(graph, config, &outputs);
    // At step 1: the sample there, plus what the blocks added at step 0.
    for (std::size_t i = 0; i < 4; ++i) {
        const float samples[] = {1, 0, 0.5F, -0.5F};
        const float before[] = {0, 1, 0.5F, 0};
        const float added = outputs[0].span<float>()[i] / 2 - before[i];
        EXPECT_NEAR(outputs[1].span<float>()[i], 2 * (samples[i] + added), 1e-6);
    }
}

TEST(Units, AChainInTheMiddleHasBothStreams) {
    const graph::Graph graph = joint_blocks();
    const auto units = with_units(graph, {chain("transformer_blocks.[01]")});
    const auto& unit =
        units->graph.modules[static_cast<std::size_t>(units->graph.find_module("transformer_blocks.0-1"))];
    EXPECT_EQ(unit.inputs.size(), 2U);
    EXPECT_EQ(unit.outputs.size(), 2U);
    expect_as_wrapped(graph, {chain("transformer_blocks.[01]")});
    expect_as_wrapped(graph, {chain("transformer_blocks.[12]", {Store::Rule::delta_forecast, 1})});
    expect_as_wrapped(graph, {chain("transformer_blocks.[12]", {})});
}

TEST(Units, WhatFollowsAChainTakesItsStream) {
    Entry after{"transformer_blocks.2", "step != 0", {ModuleKind::block}, {Store::Rule::delta}};
    const Entry inside{"transformer_blocks.1", "step == 2", {ModuleKind::block}, {Store::Rule::delta}};
    expect_as_wrapped(joint_blocks(), {after, chain("transformer_blocks.[01]")});
    after.store.kept_in = DType::bf16;
    expect_as_wrapped(joint_blocks(), {after, inside, chain("transformer_blocks.[01]")});
}

TEST(Units, TheWholeDenoiser) {
    const graph::Graph graph = joint_blocks();
    const Config config = {{"denoiser", "step % 2 != 0", {ModuleKind::denoiser}, {Store::Rule::delta}}};
    std::vector<Tensor> outputs;
    expect_as_wrapped(graph, config, &outputs);
    for (std::size_t i = 0; i < 4; ++i) {
        const float moved[] = {1, -1, 0, -0.5F};
        EXPECT_NEAR(outputs[1].span<float>()[i], outputs[0].span<float>()[i] + moved[i], 1e-6);
    }
    // The chain inside it as well.
    expect_as_wrapped(graph, {chain("transformer_blocks.*"), config.front()});
}

TEST(Units, NothingIsChangedWhereNothingIsAsked) {
    EXPECT_FALSE(with_units(joint_blocks(), {{"transformer_blocks.1", "step > 0"}}).has_value());
}

TEST(Units, WhatDoesNotFollowIsRefused) {
    EXPECT_THAT(error_of([] { with_units(joint_blocks(), {chain("transformer_blocks.[02]")}); }),
                HasSubstr("'transformer_blocks.2' does not follow 'transformer_blocks.0'"));
}

}  // namespace
}  // namespace reprise::cachify
