// The plan against the wrapped-module meaning, bit for bit, on random graphs, schedules and cuts.
#include <gtest/gtest.h>

#include <cstring>

#include "cachify/executor.h"
#include "cachify/naive.h"
#include "cachify/random_model.h"
#include "reprise/error.h"

namespace reprise::cachify::testing {
namespace {

std::vector<int> random_steps(std::mt19937& random, int num_steps) {
    std::vector<int> steps;
    switch (std::uniform_int_distribution<int>(0, 2)(random)) {
        case 0:  // most schedulers
            for (int s = 0; s < num_steps; ++s) steps.push_back(s);
            break;
        case 1:  // Heun
            for (int e = 0; e < 2 * num_steps - 1; ++e) steps.push_back(e / 2);
            break;
        default:  // PLMS
            for (int e = 0; e < num_steps + 1; ++e) steps.push_back(std::max(0, e - 1));
    }
    return steps;
}

struct Case {
    explicit Case(unsigned seed) : random(seed), graph(random_model(random)) {
        const auto below = [&](int bound) {
            return std::uniform_int_distribution<int>(0, bound - 1)(random);
        };
        const int num_steps = 1 + below(7);
        const int num_branches = 1 + below(3);
        request.varying_inputs = {"x", "t"};
        request.steps_of_evaluations = random_steps(random, num_steps);
        const Count count = below(4) == 0 ? Count::evaluations : Count::steps;
        const int decisions =
            count == Count::steps ? num_steps : static_cast<int>(request.steps_of_evaluations.size());
        schedule = random_schedule(random, graph, decisions, num_branches, count);
        request.cut.max_segments = 1 + below(12);
        request.cut.variant_budget_bytes = below(3) == 0 ? 1e9 : -1;
        if (below(3) == 0) request.cut.piece_bytes = 1 + below(2000);
    }
    std::mt19937 random;
    graph::Graph graph;
    Schedule schedule;
    PlanRequest request;
};

std::vector<Tensor> random_inputs(std::mt19937& random) {
    std::vector<Tensor> inputs;
    for (int i = 0; i < 3; ++i) {
        Tensor tensor(DType::f32, {1, 1, 1, 5});
        for (float& value : tensor.span<float>())
            value = std::uniform_real_distribution<float>(-1, 1)(random);
        inputs.push_back(tensor);
    }
    return inputs;
}

bool same_bits(const Tensor& a, const Tensor& b) {
    return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

/// Runs plan and oracle side by side; the number of nodes that the plan ran.
void expect_equal(const Case& test, const Plan& plan, const Schedule& schedule, bool reuse,
                  const backends::Backend& backend, const std::shared_ptr<const Executor>& executor) {
    std::mt19937 random(7);
    Generation generation(executor, reuse);
    Naive naive(test.graph, schedule, backend);
    std::vector<Tensor> texts;
    for (int b = 0; b < schedule.num_branches; ++b) {
        texts.push_back(random_inputs(random)[2]);
        generation.bind(b, 2, texts.back());
    }
    generation.begin();
    for (const Execution& execution : (reuse ? plan.analysis : plan.full_analysis).sequence) {
        auto inputs = random_inputs(random);
        inputs[2] = texts[static_cast<std::size_t>(execution.branch)];
        generation.bind(execution.branch, 0, inputs[0]);
        generation.bind(execution.branch, 1, inputs[1]);
        const auto outputs = generation.run();
        const auto expected = naive.run(execution, inputs);
        ASSERT_EQ(outputs.size(), expected.size());
        for (std::size_t i = 0; i < outputs.size(); ++i)
            ASSERT_TRUE(same_bits(outputs[i], expected[i]))
                << "output " << i << " of evaluation " << execution.evaluation << ", branch "
                << execution.branch;
    }
}

/// A segment never runs where one of its modules is reused, and never reads a slot that it writes.
void expect_sound(const Plan& plan) {
    for (std::size_t x = 0; x < plan.program.executions.size(); ++x)
        for (const Instruction& instruction : plan.program.executions[x]) {
            const auto* run = std::get_if<RunSegment>(&instruction);
            if (run == nullptr) continue;
            for (const Operand& input : run->inputs)
                for (const int output : run->outputs)
                    ASSERT_FALSE(input.from == Operand::From::slot && input.index == output);
            for (const graph::NodeId node : plan.partition.segments[static_cast<std::size_t>(run->segment)]) {
                const auto module = static_cast<std::size_t>(plan.extended.graph[node].module);
                ASSERT_TRUE(plan.analysis.executions[x].module_runs[module]);
            }
        }
}

class PlanProperty : public ::testing::TestWithParam<unsigned> {};

TEST_P(PlanProperty, EqualsTheWrappedModules) {
    const auto backend = backends::create("reference");
    constexpr unsigned kCases = 150;
    for (unsigned i = 0; i < kCases; ++i) {
        const unsigned seed = GetParam() * kCases + i;
        SCOPED_TRACE(fmt::format("seed {}", seed));
        const Case test(seed);
        std::optional<Plan> made;
        try {
            made = make_plan(test.graph, test.schedule, test.request);
        } catch (const Error& error) {
            // a delta rule on outputs that have no stream is refused; nothing else may be
            ASSERT_NE(std::string(error.what()).find("as a delta"), std::string::npos) << error.what();
            continue;
        }
        const auto plan = std::make_shared<const Plan>(std::move(*made));
        expect_sound(*plan);
        const auto executor = std::make_shared<const Executor>(plan, *backend, backends::CompileOptions{});
        expect_equal(test, *plan, test.schedule, true, *backend, executor);
        expect_equal(test, *plan, without_reuse(test.schedule), false, *backend, executor);
        if (HasFatalFailure()) return;
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PlanProperty, ::testing::Range(0U, 20U));

}  // namespace
}  // namespace reprise::cachify::testing
