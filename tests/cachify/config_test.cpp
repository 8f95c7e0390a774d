#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cachify/policies.h"
#include "cachify/schedule.h"
#include "cachify/support.h"
#include "graph/builder.h"
#include "models/denoiser.h"
#include "reprise/cachify.h"

namespace reprise::cachify {
namespace {

using reprise::testing::error_of;
using ::testing::HasSubstr;

/// Blocks in a row, each with an attention inside.
graph::Graph chain(const std::vector<std::string>& blocks, bool twice = false) {
    graph::Builder b("unet", DType::f32, nullptr);
    graph::Value x = b.input(models::latents_input({1, 1, 1, 4}));
    for (int pass = 0; pass < (twice ? 2 : 1); ++pass)
        for (const auto& name : blocks) {
            auto block = b.module(name, ModuleKind::block);
            block.takes({x});
            auto inner = b.module("attn", ModuleKind::self_attention);
            x = inner.returns(b.silu(x));
            x = block.returns(x * 2.0F);
        }
    b.output("sample", x);
    return b.finish();
}

const std::vector<std::string> kUnet = {"down_blocks.0", "down_blocks.1", "mid_block",
                                        "up_blocks.0",   "up_blocks.1",   "up_blocks.2"};

std::vector<std::string> reused(const graph::Graph& graph, const Config& config, int step = 1,
                                int num_steps = 20) {
    std::vector<std::string> names;
    for (const auto& rule : make_schedule(graph, config, num_steps, 1).rules)
        if (rule.reuse[0][static_cast<std::size_t>(step)])
            names.push_back(graph.modules[static_cast<std::size_t>(rule.module)].name);
    return names;
}

TEST(Schedule, DefaultOfSdxlIsAllButTheLastUpBlockAtOddSteps) {
    const auto graph = chain(kUnet);
    const std::vector<std::string> expected(kUnet.begin(), kUnet.end() - 1);
    EXPECT_EQ(reused(graph, SDXL_DEFAULT_CONFIG, 1), expected);
    EXPECT_TRUE(reused(graph, SDXL_DEFAULT_CONFIG, 2).empty());
    EXPECT_EQ(reused(graph, default_config({"UNet2DConditionModel", graph}), 19), expected);
}

TEST(Schedule, DefaultFollowsTheStructureAtOtherDepths) {
    auto deeper = kUnet;
    deeper.emplace_back("up_blocks.3");
    const auto graph = chain(deeper);
    EXPECT_EQ(reused(graph, default_config({"UNet2DConditionModel", graph})), kUnet);

    const auto transformer = [](int depth) {
        std::vector<std::string> blocks;
        for (int i = 0; i < depth; ++i) blocks.push_back("transformer_blocks." + std::to_string(i));
        return chain(blocks);
    };
    const auto count = [&](const char* name, int depth) {
        const auto made = transformer(depth);
        const Config config = default_config({name, made});
        EXPECT_NO_THROW(to_json(config));
        return reused(made, config).size();
    };
    EXPECT_EQ(count("PixArtTransformer2DModel", 28), 21U);
    EXPECT_EQ(count("PixArtTransformer2DModel", 8), 6U);
    EXPECT_EQ(count("SD3Transformer2DModel", 24), 16U);
    EXPECT_EQ(count("SD3Transformer2DModel", 38), 25U);
    EXPECT_THAT(error_of([&] { default_config({"AnotherModel", graph}); }), HasSubstr("AnotherModel"));
}

TEST(Schedule, TheLaterEntryWins) {
    const auto graph = chain(kUnet);
    const Config config = {{"*", "step == 1"}, {"up_blocks.*", "step == 2"}};
    EXPECT_EQ(reused(graph, config, 1),
              (std::vector<std::string>{"down_blocks.0", "down_blocks.1", "mid_block"}));
    EXPECT_EQ(reused(graph, config, 2),
              (std::vector<std::string>{"up_blocks.0", "up_blocks.1", "up_blocks.2"}));
}

TEST(Schedule, AFilterSeesBlocksUnlessKindsSayOtherwise) {
    const auto graph = chain({"mid_block"});
    EXPECT_EQ(reused(graph, {{"*", "step == 1"}}), std::vector<std::string>{"mid_block"});
    Entry entry{"*attn", "step == 1"};
    EXPECT_THAT(error_of([&] { reused(graph, {entry}); }), HasSubstr("matches no module of kind block"));
    entry.kinds = {ModuleKind::self_attention};
    EXPECT_EQ(reused(graph, {entry}), std::vector<std::string>{"mid_block.attn"});
}

TEST(Schedule, AModuleThatRunsTwiceIsRefused) {
    const auto graph = chain({"mid_block"}, true);
    EXPECT_THAT(error_of([&] {
                    reused(graph, {{"*", "step == 1"}});
                }),
                HasSubstr("'mid_block' runs 2 times"));
}

TEST(Schedule, LinearWeightsAreThereWhereTheyAreRead) {
    const auto graph = chain({"mid_block"});
    const auto refusal = [&](Store store, const char* steps = "step == 3") {
        return error_of([&] { make_schedule(graph, {{"*", steps, {ModuleKind::block}, store}}, 5, 1); });
    };
    Store store{Store::Rule::linear};
    EXPECT_THAT(refusal(store),
                HasSubstr("'mid_block' is kept as linear(1) and reused at step 3, for which it "
                          "has no weights"));
    store.weights = {{1}, {1}};
    EXPECT_THAT(refusal(store), HasSubstr("no weights"));
    store.weights = {{}, {}, {}, {2, -1}};
    EXPECT_EQ(refusal(store), "");
    EXPECT_THAT(refusal(store, "step > 2"), HasSubstr("at step 4, for which it has no weights"));
    store.weights = std::vector<std::vector<double>>(20, {1.0});
    EXPECT_THAT(refusal(store), HasSubstr("weights for 20 steps; this run has 5"));
    store.weights = {{std::numeric_limits<double>::quiet_NaN()}};
    EXPECT_THAT(refusal(store), HasSubstr("a weight at step 3 that f32 cannot hold"));
    store.weights = {{2, -1}};
    EXPECT_EQ(refusal(store, "step > 0"), "");
}

TEST(Config, SurvivesItsJsonForm) {
    const std::string text = R"([
        {"wildcard_or_filter_func": {"not": {"regex": "up_blocks\\.2"}}, "select_cache_step_func": "step % 2 != 0"},
        {"wildcard_or_filter_func": "*attn2", "select_cache_step_func": [3, 1, 2], "kinds": ["cross_attention"],
         "store": {"forecast": 2}, "kept_in": "bf16"}])";
    const Config config = parse_config(text, "test");
    ASSERT_EQ(config.size(), 2U);
    EXPECT_TRUE(config[0].wildcard_or_filter_func.matches("mid_block"));
    EXPECT_FALSE(config[0].wildcard_or_filter_func.matches("up_blocks.2"));
    EXPECT_TRUE(config[1].select_cache_step_func(2, 9));
    EXPECT_EQ(config[1].store, (Store{Store::Rule::forecast, 2, DType::bf16}));
    EXPECT_EQ(to_json(parse_config(to_json(config), "again")), to_json(config));
    for (const char* store : {R"({"linear": [2, -1]})", R"({"delta_linear": [[], [0.1], [1.5, -0.5]]})"}) {
        const Config read = parse_config(
            fmt::format(
                R"([{{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "store": {}}}])",
                store),
            "test");
        const Config again = parse_config(to_json(read), "again");
        EXPECT_EQ(again[0].store, read[0].store);
        EXPECT_EQ(to_json(again), to_json(read));
        EXPECT_THAT(to_string(read[0].store), HasSubstr("linear(2)"));
    }
    EXPECT_NO_THROW(to_json(SDXL_DEFAULT_CONFIG));
    // Of how many steps a list is survives as well.
    const Config bound = parse_config(to_json({{"*", StepFunction({1, 3}, 20)}}), "again");
    EXPECT_TRUE(bound[0].select_cache_step_func(3, 20));
    EXPECT_THAT(error_of([&] { bound[0].select_cache_step_func(3, 50); }), HasSubstr("is for 20 steps"));
    EXPECT_THAT(error_of([] {
                    to_json({{"*", [](int step) { return step == 1; }}});
                }),
                HasSubstr("C++ function"));
}

TEST(Config, BadJsonIsOneLineThatNamesFileAndEntry) {
    const std::pair<const char*, const char*> cases[] = {
        {"[", "line 1"},
        {"{}", "expected a list"},
        {"[3]", "entry 0"},
        {R"([{"select_cache_step_func": "step"}])", "'wildcard_or_filter_func' is missing"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step %"}])", "step %"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": [-1]}])", "-1"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": 3}])", "select_cache_step_func is 3"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": {"steps": [1], "of": 0}}])",
         "expected steps and of how many"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "decide": {"threshold": -1}}])",
         "threshold is -1; expected 0 or more"},
        {R"([{"wildcard_or_filter_func": {"regex": "("}, "select_cache_step_func": "step"}])", "not valid"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "kinds": ["blok"]}])",
         "blok"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "kept_in": "f32"}])",
         "kept_in is 'f32'; expected f16 or bf16"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "store": {"forecast": 3}}])",
         "store"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "store": {"linear": []}}])",
         "linear has []; expected weights"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "store": {"linear": [1, "2"]}}])",
         "linear has \"2\"; expected weights"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "store": {"linear": [1e39]}}])",
         "linear has 1e+39; expected weights"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "store": {"delta_linear": [[1], 2]}}])",
         "delta_linear has 2; expected weights"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "store": {"linear": [[1]]}}])",
         "linear has [[1]]; expected weights"},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "store": "linear"}])",
         "store is \"linear\""},
        {R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step", "other": 1}])",
         "unknown key 'other'"},
    };
    for (const auto& [text, expected] : cases) {
        const std::string error = error_of([&] { parse_config(text, "cache.json"); });
        EXPECT_THAT(error, HasSubstr(expected)) << text;
        EXPECT_THAT(error, HasSubstr("cache.json")) << text;
        EXPECT_EQ(error.find('\n'), std::string::npos) << error;
    }
    EXPECT_THAT(error_of([] { load_config("/nonexistent/cache.json"); }),
                HasSubstr("/nonexistent/cache.json"));
    EXPECT_THROW(parse_config(std::string(2000, '['), "deep"), Error);
}

}  // namespace
}  // namespace reprise::cachify
