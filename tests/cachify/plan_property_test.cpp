// The plan against the wrapped-module meaning, bit for bit, on random graphs, schedules and cuts.
#include <gtest/gtest.h>

#include "backends/elsewhere_backend.h"
#include "cachify/executor.h"
#include "cachify/naive.h"
#include "cachify/random_model.h"
#include "cachify/support.h"
#include "reprise/error.h"

namespace reprise::cachify::testing {
namespace {

using reprise::testing::same_bits;

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
    explicit Case(unsigned seed, bool with_modes = false) : random(seed), graph(random_model(random)) {
        const auto below = [&](int bound) {
            return std::uniform_int_distribution<int>(0, bound - 1)(random);
        };
        const int num_steps = 1 + below(7);
        const int num_branches = 1 + below(3);
        request.steps_of_evaluations = random_steps(random, num_steps);
        const Count count = below(4) == 0 ? Count::evaluations : Count::steps;
        const int decisions =
            count == Count::steps ? num_steps : static_cast<int>(request.steps_of_evaluations.size());
        schedule = random_schedule(random, graph, decisions, num_branches, count);
        if (with_modes) add_random_modes(random, graph, schedule);
        if (below(2) == 0) request.variants = add_random_variants(random, graph, schedule);
        request.pieces.max_segments = 1 + below(12);
        request.pieces.variant_bytes = below(3) == 0 ? 1e9 : -1;
        if (below(3) == 0) request.pieces.piece_bytes = 1 + below(2000);
    }
    std::mt19937 random;
    graph::Graph graph;
    Schedule schedule;
    PlanRequest request;
};

/// A probe's value is what the module adds to its last stream.
void expect_residual(const graph::Graph& graph, const std::string& name, const Naive& naive,
                     const Tensor& probe) {
    const auto& module = graph.modules[static_cast<std::size_t>(graph.find_module(name))];
    const Tensor& in = naive.value(module.inputs.back());
    const Tensor& out = naive.value(module.outputs[module.inputs.size() - 1]);
    if (!in.defined() || !out.defined()) return;  // inside what is reused: values that only pass through it
    for (std::size_t i = 0; i < probe.span<float>().size(); ++i)
        ASSERT_EQ(probe.span<float>()[i], out.span<float>()[i] - in.span<float>()[i]) << "probe of " << name;
}

/// Runs plan and oracle side by side, each step in a mode drawn for it; `given` are the outputs.
void expect_equal(const Case& test, const Plan& plan, const Schedule& schedule, bool reuse,
                  const backends::Backend& backend, const std::shared_ptr<const Executor>& executor,
                  std::vector<Tensor>& given) {
    std::mt19937 random(7);
    Generation generation(executor, reuse);
    Naive naive(test.graph, schedule, backend, test.request.variants);
    std::vector<Tensor> texts;
    for (int b = 0; b < schedule.num_branches; ++b) {
        texts.push_back(random_inputs(random)[2]);
        generation.bind(b, 2, texts.back());
    }
    generation.begin();
    std::vector<int> modes(static_cast<std::size_t>(schedule.num_steps));  // chosen step by step
    for (std::size_t s = 0; s < modes.size(); ++s) {
        const auto open = schedule.modes_at(static_cast<int>(s));
        modes[s] = open[std::uniform_int_distribution<std::size_t>(0, open.size() - 1)(random)];
    }
    while (const Execution* next = generation.next()) {
        Execution execution = *next;
        execution.mode = modes[static_cast<std::size_t>(execution.decision)];
        auto inputs = random_inputs(random);
        inputs[2] = texts[static_cast<std::size_t>(execution.branch)];
        generation.bind(execution.branch, 0, inputs[0]);
        generation.bind(execution.branch, 1, inputs[1]);
        if (schedule.stand_in(execution.branch, execution.decision, execution.mode) != nullptr) {
            // It is not probed: a probe would keep what it computes, and wrapped modules do not run here.
            ASSERT_TRUE(generation.run(execution.mode).empty());
            continue;
        }
        std::vector<Tensor> probe;
        for (const Tensor& value : generation.to_host(generation.probe())) probe.push_back(value.clone());
        ASSERT_EQ(probe.size(), reuse && schedule.decision ? 1U : 0U);
        const auto outputs = generation.to_host(generation.run(execution.mode));
        const auto expected = naive.run(execution, inputs);
        if (!probe.empty()) expect_residual(test.graph, schedule.decision->first, naive, probe.front());
        ASSERT_EQ(outputs.size(), expected.size() + plan.extended.num_probes);
        for (std::size_t i = 0; i < expected.size(); ++i)
            ASSERT_TRUE(same_bits(outputs[i], expected[i]))
                << "output " << i << " of evaluation " << execution.evaluation << ", branch "
                << execution.branch;
        for (std::size_t i = 0; i < expected.size(); ++i) given.push_back(outputs[i].clone());
    }
}

/// Whether wrapped modules run into what was not computed, in a schedule without modes.
bool wrapped_modules_fail(const Case& test, const backends::Backend& backend) {
    std::mt19937 random(7);
    Naive naive(test.graph, test.schedule, backend, test.request.variants);
    try {
        for (const Execution& execution : make_sequence(test.request.steps_of_evaluations, test.schedule))
            naive.run(execution, random_inputs(random));
    } catch (const Error&) {
        return true;
    }
    return false;
}

bool says_too_few_runs(const std::string& message) {
    return message.find("certain to have run only") != message.npos ||
           message.find("has not run before") != message.npos;
}

/// Whether reuse moved a run's outputs, where it has as many.
bool moved(const std::vector<Tensor>& reused, const std::vector<Tensor>& full) {
    if (reused.size() != full.size()) return true;
    for (std::size_t i = 0; i < full.size(); ++i)
        if (!same_bits(reused[i], full[i])) return true;
    return false;
}

/// Whether some execution runs another variant of a module than the graph's own.
bool varies(const Plan& plan) {
    for (const auto& execution : plan.analysis.executions)
        for (std::size_t n = 0; n < execution.must.size(); ++n) {
            const auto module = static_cast<std::size_t>(plan.extended.graph.nodes[n].module);
            if (execution.must[n] && plan.extended.variant_of[module] > 0) return true;
        }
    return false;
}

/// A segment never runs where one of its modules is reused, and never reads a slot that it writes.
void expect_sound(const Plan& plan) {
    for (const std::size_t x : plan.analysis.path)
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

/// What runs the plans of a range of seeds: one whose memory is elsewhere for a tenth of them. The wrapped
/// modules always run on the reference backend.
std::shared_ptr<backends::Backend> backend_of(unsigned range) {
    if (range % 10 == 9) return std::make_shared<reprise::testing::ElsewhereBackend>();
    return backends::create("reference");
}

class PlanProperty : public ::testing::TestWithParam<unsigned> {};

TEST_P(PlanProperty, EqualsTheWrappedModules) {
    const auto backend = backends::create("reference"), runs = backend_of(GetParam());
    constexpr unsigned kCases = 150;
    unsigned refused = 0;
    unsigned has_moved = 0;
    unsigned varied = 0;
    for (unsigned i = 0; i < kCases; ++i) {
        const unsigned seed = GetParam() * kCases + i;
        SCOPED_TRACE(fmt::format("seed {}", seed));
        const Case test(seed);
        std::optional<Plan> made;
        try {
            made = make_plan(test.graph, test.schedule, test.request);
        } catch (const Error& error) {
            // a delta rule on outputs that have no stream is refused, and reuse of what has not run (often
            // enough) in the variants around it; nothing else may be
            const std::string message = error.what();
            if (message.find("as a delta") != message.npos) continue;
            ASSERT_TRUE(says_too_few_runs(message)) << message;
            ASSERT_TRUE(wrapped_modules_fail(test, *backend)) << message;
            ++refused;
            continue;
        }
        const auto plan = std::make_shared<const Plan>(std::move(*made));
        expect_sound(*plan);
        varied += varies(*plan) ? 1 : 0;
        const auto executor = std::make_shared<const Executor>(plan, backends::Engine{runs, {}});
        std::vector<Tensor> reused, full;
        expect_equal(test, *plan, test.schedule, true, *backend, executor, reused);
        expect_equal(test, *plan, without_reuse(test.schedule), false, *backend, executor, full);
        if (HasFatalFailure()) return;
        has_moved += moved(reused, full) ? 1 : 0;
    }
    EXPECT_LT(refused, kCases / 10);
    EXPECT_GT(has_moved, kCases / 3);  // else equality says nothing
    EXPECT_GT(varied, kCases / 6);
}

TEST_P(PlanProperty, EqualsTheWrappedModulesInEveryMode) {
    const auto backend = backends::create("reference"), runs = backend_of(GetParam());
    constexpr unsigned kCases = 100;
    unsigned run = 0;
    unsigned has_moved = 0;
    unsigned varied = 0;
    for (unsigned i = 0; i < kCases; ++i) {
        const unsigned seed = 1'000'000 + GetParam() * kCases + i;
        SCOPED_TRACE(fmt::format("seed {}", seed));
        const Case test(seed, true);
        std::optional<Plan> made;
        try {
            made = make_plan(test.graph, test.schedule, test.request);
        } catch (const Error& error) {
            // as above; and a decision cannot look at what it may leave out, or at what never changes
            const std::string message = error.what();
            ASSERT_TRUE(message.find("as a delta") != message.npos || says_too_few_runs(message) ||
                        message.find("a decision") != message.npos)
                << message;
            continue;
        }
        ++run;
        const auto plan = std::make_shared<const Plan>(std::move(*made));
        expect_sound(*plan);
        varied += varies(*plan) ? 1 : 0;
        const auto executor = std::make_shared<const Executor>(plan, backends::Engine{runs, {}});
        std::vector<Tensor> reused, full;
        expect_equal(test, *plan, test.schedule, true, *backend, executor, reused);
        expect_equal(test, *plan, without_reuse(test.schedule), false, *backend, executor, full);
        if (HasFatalFailure()) return;
        has_moved += moved(reused, full) ? 1 : 0;
    }
    EXPECT_GT(run, kCases / 2);
    EXPECT_GT(has_moved, kCases / 4);
    EXPECT_GT(varied, kCases / 10);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PlanProperty, ::testing::Range(0U, 20U));

}  // namespace
}  // namespace reprise::cachify::testing
