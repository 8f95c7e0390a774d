// Networks beside the denoiser's own: which entries are about them, what policies see, what strengths cost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cachify/controlled.h"
#include "cachify/executor.h"
#include "cachify/naive.h"
#include "cachify/policies.h"
#include "cachify/support.h"
#include "cachify/units.h"
#include "graph/outline.h"

namespace reprise::cachify::testing {
namespace {

using reprise::testing::error_of;
using reprise::testing::same_bits;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr models::DenoiserShape kShape = {1, 2, 2, 3};
constexpr int kSteps = 4;

const ControlledWeights& weights() {
    static const ControlledWeights made;
    return made;
}

graph::Graph with_weights(Strength strength = Strength::activations) {
    return controlled_denoiser(kShape, &weights().own, &weights().control, strength);
}

/// The modules that a configuration reuses.
std::vector<std::string> reused(const graph::Graph& graph, const Config& config) {
    std::vector<std::string> names;
    for (const auto& rule : make_schedule(graph, config, kSteps, 1).rules)
        names.push_back(graph.modules[static_cast<std::size_t>(rule.module)].name);
    return names;
}

Entry entry(const char* filter, const char* part = "") {
    Entry result{filter, "step % 2 != 0"};
    result.part = part;
    return result;
}

Plan plan_of(const graph::Graph& graph, const Config& config) {
    PlanRequest request;
    for (int step = 0; step < kSteps; ++step) request.steps_of_evaluations.push_back(step);
    return make_plan(graph, make_schedule(graph, config, kSteps, 1), request);
}

TEST(Parts, AnEntryIsAboutTheDenoisersOwnModulesUnlessItSaysAPart) {
    const auto graph = controlled_denoiser(kShape, nullptr, nullptr);
    EXPECT_THAT(reused(graph, {entry("down_blocks.*")}), ElementsAre("down_blocks.0", "down_blocks.1"));
    EXPECT_THAT(reused(graph, {entry("down_blocks.*", "control.0")}),
                ElementsAre("control.0.down_blocks.0", "control.0.down_blocks.1"));
    EXPECT_THAT(reused(graph, {entry("mid_block", "control.*")}), ElementsAre("control.0.mid_block"));
    EXPECT_THAT(reused(graph, {entry("mid_block", "*")}), ElementsAre("control.0.mid_block", "mid_block"));
    Entry negated = entry("", "control.0");
    negated.wildcard_or_filter_func = ModuleFilter::negation("down_blocks.*");
    EXPECT_THAT(reused(graph, {negated}), ElementsAre("control.0.mid_block"));
    // the last entry about a module holds; one about another part is not about it
    Entry off = entry("*", "control.0");
    off.select_cache_step_func = "False";
    EXPECT_THAT(reused(graph, {entry("mid_block", "*"), off}), ElementsAre("mid_block"));
    EXPECT_THAT(reused(graph, SDXL_DEFAULT_CONFIG),
                ElementsAre("down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1"));
}

TEST(Parts, AnEntryAboutNoneOfThemIsRefused) {
    const auto graph = controlled_denoiser(kShape, nullptr, nullptr);
    const auto refusal = [&](const Entry& wrong) {
        return error_of([&] { make_schedule(graph, {wrong}, kSteps, 2); });
    };
    EXPECT_EQ(refusal(entry("*", "control.1")),
              "cache entry 0 is about part 'control.1' of the controlled; it has control.0");
    EXPECT_THAT(refusal(entry("up_blocks.*", "control.0")),
                HasSubstr("matches no module of kind block in part 'control.0' of the controlled; there are "
                          "down_blocks.0, down_blocks.1, mid_block"));
    EXPECT_THAT(refusal(entry("control.0.down_blocks.0")),
                HasSubstr("matches no module of kind block in the"));
    Entry guidance = entry("unconditional", "control.0");
    guidance.kinds = {ModuleKind::guidance};
    EXPECT_THAT(refusal(guidance), HasSubstr("guidance belongs to no part, but its part is 'control.0'"));
}

TEST(Parts, HaveAJsonForm) {
    const Config config = {entry("down_blocks.*", "control.*"), entry("mid_block")};
    const std::string json = to_json(config);
    EXPECT_THAT(json, HasSubstr("\"part\": \"control.*\""));
    const Config read = parse_config(json, "it");
    EXPECT_EQ(read[0].part, "control.*");
    EXPECT_EQ(read[1].part, "");
    EXPECT_EQ(to_json(read), json);
    for (const char* wrong : {"3", "\"\"", "[\"control.0\"]"})
        EXPECT_THAT(error_of([&] {
                        parse_config(fmt::format(R"([{{"wildcard_or_filter_func": "*",
                                                      "select_cache_step_func": "True", "part": {}}}])",
                                                 wrong),
                                     "it");
                    }),
                    HasSubstr("it: entry 0: part is "));
}

TEST(Parts, PoliciesSeeTheDenoisersOwnBlocksAlone) {
    const auto graph = controlled_denoiser(kShape, nullptr, nullptr);
    const auto all = graph::outline_of(graph);
    EXPECT_EQ(all.units.size(), 8U);
    EXPECT_EQ(all.units.front().part, "control.0");
    const auto own = graph::of_part(all, "");
    EXPECT_THAT(names_of(own),
                ElementsAre("down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1"));
    // what the control network adds ends no stream, and what it makes is no skip of the denoiser's
    for (const auto& unit : own.units) EXPECT_EQ(unit.takes, own.units.front().takes) << unit.name;
    EXPECT_THAT(names_of(graph::of_part(all, "control.0")),
                ElementsAre("control.0.down_blocks.0", "control.0.down_blocks.1", "control.0.mid_block"));
    const PolicyContext context = {"UNet2DConditionModel", graph};
    EXPECT_EQ(names_of(outline_of(context)), names_of(own));
    for (const char* policy : {"modelopt", "deepcache:interval=2,branch=0", "fbcache", "taylorseer"}) {
        const Config config = make_policy(context, policy);
        const auto units = with_units(graph, config);
        const auto& planned = units ? units->graph : graph;
        const auto schedule = make_schedule(planned, units ? units->config : config, 8, 1);
        EXPECT_FALSE(schedule.rules.empty()) << policy;
        for (const auto& rule : schedule.rules)
            EXPECT_EQ(planned.modules[static_cast<std::size_t>(rule.module)].part, "") << policy;
    }
}

TEST(Parts, AChainOfAPartBelongsToIt) {
    graph::Builder b("denoiser", DType::f32, nullptr);
    graph::Value x = b.input(models::latents_input({1, 4}));
    const auto blocks = [&](graph::Value value) {
        for (int i = 0; i < 3; ++i) {
            auto scope = b.module("blocks." + std::to_string(i), ModuleKind::block);
            scope.takes({value});
            value = scope.returns(value * 2.0F);
        }
        return value;
    };
    graph::Value added;
    {
        const auto part = b.part("control.0", nullptr);
        added = blocks(x * 0.5F);
    }
    b.output("sample", blocks(x) + added);
    const auto graph = b.finish();
    Entry chain = entry("blocks.*", "control.*");
    chain.store = {Store::Rule::delta};
    chain.as_one = true;
    const auto units = with_units(graph, {chain});
    ASSERT_TRUE(units.has_value());
    EXPECT_EQ(units->config.front().part, "control.0");
    EXPECT_THAT(reused(units->graph, units->config), ElementsAre("control.0.blocks.0-2"));
    chain.part = "*";  // of two networks, whose blocks do not follow one another
    EXPECT_THAT(error_of([&] { with_units(graph, {chain}); }), HasSubstr("does not follow"));
}

/// The fixed inputs, then those of a step, in the graph's order.
std::vector<Tensor> inputs_at(int step, float scale) {
    Generator generator(100 + static_cast<std::uint64_t>(step));
    Generator fixed(7);
    std::vector<Tensor> inputs;
    for (const auto& input : controlled_inputs(kShape))
        inputs.push_back((input.when == graph::When::step ? generator : fixed).randn(input.shape));
    inputs.back().span<float>()[0] = scale;
    return inputs;
}

/// The outputs of a run by plan; each is compared with wrapped modules.
std::vector<Tensor> run(const std::shared_ptr<const Executor>& executor, const graph::Graph& graph,
                        const backends::Backend& backend, float scale) {
    Generation generation(executor);
    Naive naive(graph, executor->plan().schedule, backend);
    const auto first = inputs_at(0, scale);
    for (std::size_t i = 0; i < first.size(); ++i)
        if (graph.input(i).when == graph::When::fixed) generation.bind(0, i, first[i]);
    generation.begin();
    std::vector<Tensor> outputs;
    while (const Execution* now = generation.next()) {
        const Execution execution = *now;
        const auto inputs = inputs_at(execution.step, scale);
        for (std::size_t i = 0; i < inputs.size(); ++i)
            if (graph.input(i).when == graph::When::step) generation.bind(0, i, inputs[i]);
        outputs.push_back(generation.to_host(generation.run()).front().clone());
        EXPECT_TRUE(same_bits(outputs.back(), naive.run(execution, inputs).front())) << execution.step;
    }
    return outputs;
}

TEST(Parts, APlanEqualsTheWrappedModulesWhateverTheStrength) {
    const auto graph = with_weights();
    const auto backend = backends::create("reference");
    const auto executor = [&](const Config& config) {
        return std::make_shared<const Executor>(std::make_shared<const Plan>(plan_of(graph, config)),
                                                backends::Engine{backend, {}});
    };
    const auto full = executor({}), own = executor({entry("down_blocks.*")}),
               control = executor({entry("*", "control.0")}),
               both = executor({entry("*_block*", "*"), [] {
                                    Entry last = entry("up_blocks.1");
                                    last.select_cache_step_func = "False";
                                    return last;
                                }()});
    for (const float scale : {0.0F, 0.5F, 1.0F}) {
        const auto in_full = run(full, graph, *backend, scale);
        const auto of_own = run(own, graph, *backend, scale);
        const auto of_control = run(control, graph, *backend, scale);
        run(both, graph, *backend, scale);
        for (std::size_t step = 0; step < in_full.size(); ++step) {
            const bool reuses = step % 2 != 0;
            EXPECT_EQ(same_bits(of_own[step], in_full[step]), !reuses);
            // at strength 0 the control network, however stale, adds nothing
            EXPECT_EQ(same_bits(of_control[step], in_full[step]), !reuses || scale == 0);
        }
    }
    EXPECT_LT(control->plan().cost_of_execution(1).flops, 0.7 * full->plan().cost_of_execution(1).flops);
}

/// The bytes of the largest slot that is filled once, and of the smallest weight with rows and columns.
std::pair<std::size_t, std::size_t> largest_and_smallest(const graph::Graph& graph) {
    const Plan plan = plan_of(graph, {});
    const Program& program = plan.program;
    std::size_t slot = 0;
    std::size_t weight = SIZE_MAX;
    for (int i = 0; i < program.prologue_slots; ++i)
        slot = std::max(slot, program.slots[static_cast<std::size_t>(i)].bytes());
    for (const auto& node : graph.nodes)
        if (node.op == graph::Op::constant && node.shape.size() > 1)
            weight = std::min(weight, static_cast<std::size_t>(element_count(node.shape)) * sizeof(float));
    return {slot, weight};
}

TEST(Parts, AStrengthMultipliesActivationsSoThatNoWeightIsKeptTwice) {
    const auto [slot, weight] = largest_and_smallest(controlled_denoiser(kShape, nullptr, nullptr));
    EXPECT_GT(slot, 0U);
    EXPECT_LT(slot, weight);
    const auto [early_slot, early_weight] =
        largest_and_smallest(controlled_denoiser(kShape, nullptr, nullptr, Strength::weights));
    EXPECT_GE(early_slot, early_weight);  // what the test would find
}

TEST(Parts, HaveWeightsOfTheirOwnUnderTheNamesOfTheirCheckpoint) {
    const auto graph = with_weights();
    const auto constant = [&](const std::string& name) -> const Tensor& {
        for (const auto& node : graph.nodes)
            if (node.op == graph::Op::constant && node.attrs<graph::ConstantAttrs>().name == name)
                return node.attrs<graph::ConstantAttrs>().value;
        throw std::runtime_error("no " + name);
    };
    const std::string name = "down_blocks.0.conv.weight";
    EXPECT_TRUE(same_bits(constant(name), *weights().own.find(name)));
    EXPECT_TRUE(same_bits(constant("control.0." + name), *weights().control.find(name)));
    const MapWeights nothing({}, "control");
    EXPECT_EQ(
        error_of([&] { controlled_denoiser(kShape, &weights().own, &nothing); }),
        "control: weight 'conv_in.weight' of shape (16, 2, 3, 3) is missing; is this folder complete and "
        "of this architecture?");
}

}  // namespace
}  // namespace reprise::cachify::testing
