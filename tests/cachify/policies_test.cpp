// Schedules of the policies against worked examples from their papers and public code.
#include "cachify/policies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cachify/branch_memory.h"
#include "cachify/denoisers.h"
#include "cachify/schedule.h"
#include "cachify/support.h"
#include "cachify/units.h"
#include "files/atomic_file.h"

namespace reprise::cachify {
namespace {

using reprise::testing::error_of;
using ::testing::ElementsAre;
using testing::graph_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::listing;
using testing::stack;
using testing::transformer;
using testing::unet;

std::vector<int> steps_reused(const Entry& entry, int num_steps) {
    std::vector<int> steps;
    for (int step = 0; step < num_steps; ++step)
        if (entry.select_cache_step_func(step, num_steps)) steps.push_back(step);
    return steps;
}

std::vector<int> steps_run(const Entry& entry, int num_steps) {
    std::vector<int> steps;
    for (int step = 0; step < num_steps; ++step)
        if (!entry.select_cache_step_func(step, num_steps)) steps.push_back(step);
    return steps;
}

std::vector<std::string> matched(const graph::Graph& graph, const Entry& entry) {
    std::vector<std::string> names;
    for (const auto& module : graph.modules)
        if (std::find(entry.kinds.begin(), entry.kinds.end(), module.kind) != entry.kinds.end() &&
            entry.wildcard_or_filter_func.matches(module.name))
            names.push_back(module.name);
    return names;
}

// DeepCache/sd/pipeline_stable_diffusion.py: sample_gaussian_centered and its uses
TEST(DeepCache, NonUniformStepsAreThePaperCodes) {
    EXPECT_THAT(non_uniform_full_steps(50, {.interval = 5, .center = 15, .power = 1.4}),
                ElementsAre(0, 5, 9, 13, 17, 21, 26, 31, 37, 43));
    EXPECT_THAT(non_uniform_full_steps(50, {.interval = 3, .center = 15, .power = 1.4}),
                ElementsAre(0, 3, 6, 8, 11, 13, 15, 17, 20, 22, 25, 28, 32, 35, 38, 42, 46));
    EXPECT_THAT(error_of([] {
                    non_uniform_full_steps(50, {.interval = 5, .uniform = false, .center = 15, .power = 1});
                }),
                HasSubstr("power is 1"));
    for (const DeepCacheOptions& odd : {DeepCacheOptions{.interval = 0},
                                        {.uniform = false, .power = 1e17},
                                        {.uniform = false, .center = 1e10},
                                        {.uniform = false, .center = NAN}})
        EXPECT_THAT(error_of([&] { non_uniform_full_steps(50, odd); }), HasSubstr("deepcache: "));
    EXPECT_THAT(error_of([] { non_uniform_full_steps(0, {}); }), HasSubstr("0 steps"));
}

TEST(DeepCache, UniformStepsAndIntervalOne) {
    const auto graph = transformer(6);
    const PolicyContext context = {"PixArtTransformer2DModel", graph};
    const auto config = make_policy(context, "deepcache:interval=4");
    ASSERT_EQ(config.size(), 1U);
    EXPECT_THAT(steps_run(config[0], 10), ElementsAre(0, 4, 8));
    EXPECT_THAT(make_policy(context, "deepcache:interval=1"), IsEmpty());
    const auto uneven = make_policy(context, "deepcache:interval=5,uniform=0");
    EXPECT_THAT(steps_run(uneven[0], 50), ElementsAre(0, 5, 9, 13, 17, 21, 26, 31, 37, 43));
}

TEST(DeepCache, TransformersKeepTheirOuterBlocks) {
    const auto graph = transformer(6);
    const PolicyContext context = {"SD3Transformer2DModel", graph};
    EXPECT_THAT(matched(graph, make_policy(context, "deepcache")[0]),
                ElementsAre("transformer_blocks.1", "transformer_blocks.2", "transformer_blocks.3",
                            "transformer_blocks.4"));
    const auto config = make_policy(context, "deepcache:branch=1");
    EXPECT_THAT(matched(graph, config[0]), ElementsAre("transformer_blocks.2", "transformer_blocks.3"));
    EXPECT_EQ(config[0].store.rule, Store::Rule::delta);
    EXPECT_THAT(error_of([&] { make_policy(context, "deepcache:branch=2"); }), HasSubstr("expected 0 to 1"));
}

// Where a stack has another name, or there are two, what counts is the distance from both ends.
TEST(DeepCache, BlocksInARowHaveAnyName) {
    const auto wan = graph_of(stack("blocks", 5));
    EXPECT_THAT(matched(wan, make_policy({"WanTransformer3DModel", wan}, "deepcache")[0]),
                ElementsAre("blocks.1", "blocks.2", "blocks.3"));
    auto two = stack("transformer_blocks", 2);
    for (const auto& module : stack("single_transformer_blocks", 3)) two.push_back(module);
    const auto flux = graph_of(two);
    EXPECT_THAT(
        matched(flux, make_policy({"FluxTransformer2DModel", flux}, "deepcache")[0]),
        ElementsAre("transformer_blocks.1", "single_transformer_blocks.0", "single_transformer_blocks.1"));
    const auto few = transformer(2);
    EXPECT_THAT(error_of([&] {
                    make_policy({"PixArtTransformer2DModel", few}, "deepcache");
                }),
                HasSubstr("three blocks or more"));
}

// UNets whose blocks have unequal numbers of layers, and K blocks, whose layers share one skip.
TEST(DeepCache, PathsOfEveryUNet) {
    const auto paths = [](const graph::Graph& graph) {
        const PolicyContext context = {"UNet2DConditionModel", graph};
        std::vector<std::vector<std::string>> left_out;
        for (int branch = 0; branch < count_paths(outline_of(context)); ++branch)
            left_out.push_back(matched(graph, deep_cache(context, {.branch = branch})[0]));
        return left_out;
    };
    const auto uneven = paths(unet({1, 2}));
    EXPECT_EQ(paths(listing(unet({1, 2}))).size(), uneven.size());
    ASSERT_EQ(uneven.size(), 5U);  // two layers of the outer up block, three of the inner
    EXPECT_THAT(uneven[0], ElementsAre("down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0",
                                       "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1.resnets.0"));
    EXPECT_THAT(uneven[1],
                ElementsAre("down_blocks.0.downsamplers.0", "down_blocks.1", "mid_block", "up_blocks.0"));
    EXPECT_THAT(uneven[2], ElementsAre("down_blocks.1.resnets.0", "down_blocks.1.resnets.1", "mid_block",
                                       "up_blocks.0.resnets.0", "up_blocks.0.resnets.1"));
    EXPECT_THAT(uneven[4], ElementsAre("mid_block"));
    // each path does more than the one before
    for (std::size_t i = 1; i < uneven.size(); ++i) EXPECT_NE(uneven[i], uneven[i - 1]);
    EXPECT_THAT(paths(unet({0, 0, 0}, false)),
                ElementsAre(ElementsAre("down_blocks.1", "down_blocks.2", "up_blocks.0", "up_blocks.1"),
                            ElementsAre("down_blocks.2", "up_blocks.0")));
    EXPECT_THAT(paths(unet({0}, false)), IsEmpty());
}

// tgate/tgate_utils.py with SDXL's parameters, 25 steps
TEST(TGate, FreezesCrossAttentionAndDropsGuidance) {
    const auto config = t_gate({});
    ASSERT_EQ(config.size(), 3U);
    EXPECT_THAT(steps_run(config[0], 25), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
    EXPECT_EQ(config[0].store.rule, Store::Rule::mean);
    EXPECT_EQ(steps_reused(config[1], 25), steps_reused(config[0], 25));
    EXPECT_EQ(config[1].store.rule, Store::Rule::drop);
    EXPECT_THAT(steps_reused(config[2], 25), ElementsAre(3, 4, 6, 7, 8));
    EXPECT_THAT(config[2].kinds,
                ElementsAre(ModuleKind::self_attention, ModuleKind::temporal_self_attention));
    EXPECT_THAT(steps_reused(t_gate({.gate = 20})[0], 20), IsEmpty());
}

// tgate/SVD.py: the picture's half goes on; tgate/SDXL.py, PixArt_Alpha.py: the unconditional one.
TEST(TGate, KeepsTheHalfThatSeesThePicture) {
    const auto graph =
        graph_of({{"a.attn1", ModuleKind::self_attention}, {"a.attn2", ModuleKind::cross_attention}});
    for (const auto& [denoiser, dropped] : {std::pair("UNetSpatioTemporalConditionModel", "unconditional"),
                                            std::pair("UNet2DConditionModel", "conditional")}) {
        const auto config = make_policy({denoiser, graph}, "tgate");
        EXPECT_TRUE(config[1].wildcard_or_filter_func.matches(dropped)) << denoiser;
        EXPECT_EQ(config[1].wildcard_or_filter_func.matches("conditional"),
                  std::string_view(dropped) == "conditional");
    }
}

// diffusers/hooks/taylorseer_cache.py with its defaults
TEST(TaylorSeer, ComputesAtItsSteps) {
    const auto config = taylor_seer({});
    EXPECT_THAT(steps_run(config[0], 20), ElementsAre(0, 1, 2, 4, 9, 14, 19));
    EXPECT_EQ(config[0].store, (Store{Store::Rule::forecast, 1}));
    EXPECT_THAT(steps_run(taylor_seer({.interval = 3, .before = 2, .after = 8})[0], 10),
                ElementsAre(0, 1, 3, 6, 8, 9));
}

// diffusers/hooks/pyramid_attention_broadcast.py: timesteps from 1000 to 0, window (100, 800)
TEST(AttentionBroadcast, RunsAtIntervalsWithinItsWindow) {
    const auto graph =
        graph_of({{"a.attn1", ModuleKind::self_attention}, {"a.attn2", ModuleKind::cross_attention}});
    const PolicyContext context = {"UNet2DConditionModel", graph};
    const auto config = make_policy(context, "pab:self=2,cross=3");
    ASSERT_EQ(config.size(), 2U);
    EXPECT_THAT(steps_reused(config[0], 20), ElementsAre(5, 7, 9, 11, 13, 15, 17));
    EXPECT_THAT(steps_reused(config[1], 20), ElementsAre(5, 7, 8, 10, 11, 13, 14, 16, 17));
    EXPECT_THAT(error_of([&] { make_policy(context, "pab:self=0"); }), HasSubstr("nothing to reuse"));
    EXPECT_THAT(error_of([&] { make_policy(context, "pab:from=0.9,to=0.2"); }),
                HasSubstr("0 <= from <= to <= 1"));
}

TEST(GuidanceReuse, LeavesOutOneHalfAtIntervals) {
    const auto config = guidance_reuse({});
    EXPECT_THAT(steps_run(config[0], 8), ElementsAre(0, 1, 2, 4, 6));
    EXPECT_THAT(guidance_reuse({.interval = 1}), IsEmpty());
}

// EasyCache's and TeaCache's code computes the last step, MagCache's the first int(share * steps + 0.5).
TEST(RunningPolicies, RunWhereTheirCodeRuns) {
    const auto graph = transformer(4);
    const PolicyContext context = {"PixArtTransformer2DModel", graph};
    EXPECT_EQ(easy_cache().at(0).decide->cool_down, 1);
    EXPECT_EQ(make_policy(context, "fbcache").at(0).decide->cool_down, 0);
    Profile profile;
    profile.block_ratios = {1, 1};
    profile.polynomial = {1, 0};
    EXPECT_EQ(tea_cache(context, profile, {}).at(0).decide->cool_down, 1);
    for (const auto& [num_steps, full] : {std::pair(20, 4), {21, 4}, {22, 4}, {23, 5}, {28, 6}})
        EXPECT_EQ(steps_run(mag_cache(context, profile, {})[0], num_steps).size(),
                  static_cast<std::size_t>(full))
            << num_steps;
    // ucache.hpp, set_sigmas: from step int(0.15 n) up to int(0.95 n)
    EXPECT_THAT(steps_run(unet_cache()[0], 20), ElementsAre(0, 1, 2, 19));
    EXPECT_THAT(steps_run(unet_cache()[0], 10), ElementsAre(0, 9));
    profile.model.class_name = "SD3Transformer2DModel";
    EXPECT_THAT(error_of([&] { mag_cache(context, profile, {}); }), HasSubstr("SD3Transformer2DModel"));
    EXPECT_THAT(error_of([&] { tea_cache(context, profile, {}); }), HasSubstr("SD3Transformer2DModel"));
}

TEST(Policies, NamesParametersAndSums) {
    const auto graph = transformer(28);
    const PolicyContext context = {"PixArtTransformer2DModel", graph};
    const auto config = make_policy(context, "default+guidance:interval=3");
    ASSERT_EQ(config.size(), 2U);
    EXPECT_EQ(matched(graph, config[0]).size(), 21U);
    EXPECT_THAT(config[1].kinds, ElementsAre(ModuleKind::guidance));
    EXPECT_TRUE(names_policy("deepcache:interval=3"));
    EXPECT_FALSE(names_policy("deepcache.json"));
    EXPECT_THAT(error_of([&] { make_policy(context, "deepcache:depth=3"); }),
                HasSubstr("interval, branch, uniform, center, power"));
    EXPECT_THAT(error_of([&] { make_policy(context, "deepcache:interval=x"); }),
                HasSubstr("expected a number"));
    EXPECT_THAT(error_of([&] { make_policy(context, "deepcache:interval=2.5"); }),
                HasSubstr("a whole number"));
    for (const char* text : {"deepcache+nothing", "deepcache+", ""})
        EXPECT_THAT(error_of([&] { make_policy(context, text); }), HasSubstr("tgate")) << text;
    EXPECT_THAT(error_of([&] { make_policy(context, "deepcache:interval=3,interval=4"); }),
                HasSubstr("interval is given twice"));
    EXPECT_THAT(error_of([&] { make_policy(context, "deepcache:interval=3,"); }),
                HasSubstr("is no parameter"));
    EXPECT_THAT(error_of([&] { make_policy(context, "deepcache:uniform=7"); }), HasSubstr("0 or 1"));
    // Not every '+' joins.
    const auto large = make_policy(context, "fbcache:threshold=1e+3+guidance");
    ASSERT_EQ(large.size(), 2U);
    EXPECT_EQ(large[0].decide->threshold, 1000);
    EXPECT_THAT(error_of([&] { make_policy(context, "magcache:profile=/a+b/c+d.json"); }),
                HasSubstr("/a+b/c+d.json"));
    const auto parsed = parse_config(R"([{"policy": "deepcache:interval=2"},
        {"wildcard_or_filter_func": "unconditional", "select_cache_step_func": [3], "kinds": ["guidance"],
         "store": "drop"}])",
                                     "test", context);
    ASSERT_EQ(parsed.size(), 2U);
    EXPECT_EQ(parsed[1].store.rule, Store::Rule::drop);
    EXPECT_THAT(error_of([&] { parse_config(R"([{"policy": "deepcache"}])", "test"); }),
                HasSubstr("entry 0: a policy needs a pipeline"));
}

/// A model's folder with tuned configurations, and what `auto` says of it.
class Auto : public ::testing::Test {
  protected:
    void SetUp() override {
        std::filesystem::remove_all(context_.folder);
        std::filesystem::create_directories(context_.folder / "reprise");
        context_.run.num_inference_steps = 20;
        context_.run.scheduler = "EulerDiscreteScheduler";
        context_.on_message = [this](const Message& message) { said_ = message.text; };
    }
    void write(const std::string& name, double speedup, int steps, const std::string& entries,
               const std::string& scheduler = "EulerDiscreteScheduler", const std::string& weights = "") {
        Evidence evidence;
        evidence.model = {"PixArtTransformer2DModel", "", weights};
        evidence.run.num_inference_steps = steps;
        evidence.run.scheduler = scheduler;
        evidence.run.seeds = {0};
        evidence.figures["speedup"] = speedup;
        std::string text = to_json(Config{}, evidence);
        text.replace(text.find("[]"), 2, entries);
        write_file(context_.folder / "reprise" / name, text);
    }
    std::vector<int> steps_of(const std::string& policy) {
        return steps_run(make_policy(context_, policy).at(0), 6);
    }

    const graph::Graph graph_ = transformer(4);
    PolicyContext context_ = {
        "PixArtTransformer2DModel",
        graph_,
        {},
        std::filesystem::path(::testing::TempDir()) /
            (std::string("auto-") + ::testing::UnitTest::GetInstance()->current_test_info()->name())};
    std::string said_;
};

TEST_F(Auto, TakesTheNearestOfTheRunsNumberOfSteps) {
    write("tuned-2.json", 2, 20, R"([{"policy": "deepcache:interval=2"}])");
    write("tuned-3.json", 3, 20, R"([{"policy": "deepcache:interval=4"}])");
    write("tuned-2-30.json", 2, 30, R"([{"policy": "deepcache:interval=3"}])");
    write_file(context_.folder / "reprise" / "tuned-4.json", "{");  // is no reason to do without the others
    EXPECT_THAT(steps_of("auto"), ElementsAre(0, 2, 4));
    EXPECT_THAT(said_, HasSubstr("tuned-2.json"));
    EXPECT_THAT(steps_of("auto:speedup=3.4"), ElementsAre(0, 4));
    context_.run.num_inference_steps = 30;
    EXPECT_THAT(steps_of("auto:speedup=9"), ElementsAre(0, 3));
    EXPECT_THAT(error_of([&] { make_policy(context_, "auto:speedup=0.5"); }), HasSubstr("at least 1"));
}

TEST_F(Auto, PrefersTheRunsSamplerAndNamesWhatDiffers) {
    write("tuned-a.json", 2, 20, R"([{"policy": "deepcache:interval=2"}])", "DDIMScheduler");
    write("tuned-b.json", 2, 20, R"([{"policy": "deepcache:interval=3"}])");
    EXPECT_THAT(steps_of("auto"), ElementsAre(0, 3));
    EXPECT_THAT(said_, ::testing::Not(HasSubstr("it was tuned with")));
    context_.run.scheduler = "HeunDiscreteScheduler";
    context_.run.precision = "bf16";
    EXPECT_THAT(steps_of("auto"), ElementsAre(0, 2, 4));
    EXPECT_THAT(said_, HasSubstr("sampler DDIMScheduler, here HeunDiscreteScheduler"));
    EXPECT_EQ(said_.find('\n'), std::string::npos);
}

TEST_F(Auto, IsNotForOtherWeights) {
    context_.identity = [] { return DenoiserIdentity{"PixArtTransformer2DModel", "", "mine"}; };
    write("tuned-2.json", 2, 20, R"([{"policy": "deepcache:interval=2"}])", "EulerDiscreteScheduler",
          "others");
    make_policy(context_, "auto");
    EXPECT_THAT(said_, HasSubstr("nothing was tuned for this model"));
    write("tuned-3.json", 3, 20, R"([{"policy": "deepcache:interval=4"}])", "EulerDiscreteScheduler", "mine");
    EXPECT_THAT(steps_of("auto"), ElementsAre(0, 4));
}

TEST_F(Auto, FallsBackOnPresetsThatAreAhead) {
    const auto threshold = [&](const std::string& policy) {
        const Config config = make_policy(context_, policy);
        return config.empty() ? -1 : config[0].decide.value().threshold;
    };
    EXPECT_EQ(threshold("auto"), 0.07);
    EXPECT_EQ(threshold("auto:speedup=3"), 0.2);
    EXPECT_THAT(said_, HasSubstr("fbcache:threshold=0.2"));
    write("tuned-2.json", 2, 30, R"([{"policy": "deepcache:interval=2"}])");
    EXPECT_EQ(threshold("auto"), 0.07);
    EXPECT_THAT(said_, HasSubstr("tuned for 30 steps, not for 20"));
    // where nothing is known to win, nothing is reused
    context_.decides_while_running = false;
    EXPECT_EQ(threshold("auto"), -1);
    context_.decides_while_running = true;
    context_.adds_noise = true;
    EXPECT_EQ(threshold("auto"), -1);
    context_.adds_noise = false;
    context_.run.num_inference_steps = 4;
    EXPECT_EQ(threshold("auto"), -1);
    context_.run.num_inference_steps = 20;
    EXPECT_EQ(threshold("auto"), 0.07);
    context_.denoiser_class = "SomeOtherTransformer";
    EXPECT_EQ(threshold("auto"), -1);
    EXPECT_THAT(said_, HasSubstr("nothing is reused"));
}

TEST_F(Auto, GoesOnToTheNextWhereAFileIsBroken) {
    const auto next = [&](double speedup, const std::string& entries) {
        std::filesystem::remove_all(context_.folder / "reprise");
        std::filesystem::create_directories(context_.folder / "reprise");
        write("tuned-3.json", 3, 20, R"([{"policy": "deepcache:interval=4"}])");
        write("tuned-2.json", speedup, 20, entries);
        return steps_of("auto");
    };
    EXPECT_THAT(next(2, R"([{"policy": "deepcache:interval=2"}])"), ElementsAre(0, 2, 4));  // as it is
    for (const char* entries :
         {"5", R"("auto")", "[]", R"([{"policy": "deepcache:interval=two"}])",
          R"([{"wildcard_or_filter_func": {"regex": "((("}, "select_cache_step_func": [1]}])",
          R"([{"wildcard_or_filter_func": "nothing_like", "select_cache_step_func": [1]}])",
          R"([{"wildcard_or_filter_func": "*", "select_cache_step_func": {"steps": [1], "of": 50}}])"})
        EXPECT_THAT(next(2, entries), ElementsAre(0, 4)) << entries;
    for (const double speedup : {0.0, -3.0})
        EXPECT_THAT(next(speedup, R"([{"policy": "deepcache:interval=2"}])"), ElementsAre(0, 4)) << speedup;
}

TEST_F(Auto, ATunedFileThatAsksForAutoFindsAPreset) {
    write("tuned-2.json", 2, 20, R"([{"policy": "auto"}])");
    const Config config = make_policy(context_, "auto");
    ASSERT_EQ(config.size(), 1U);
    EXPECT_EQ(config[0].decide.value().threshold, 0.07);
}

TEST(Presets, AreOrderedFromTheNearestToTheFastest) {
    for (const char* name : {"UNet2DConditionModel", "PixArtTransformer2DModel", "SD3Transformer2DModel",
                             "UNetSpatioTemporalConditionModel"}) {
        const auto presets = presets_of(name);
        ASSERT_EQ(presets.size(), 4U) << name;
        for (std::size_t i = 1; i < presets.size(); ++i)
            EXPECT_LT(presets[i - 1].speedup, presets[i].speedup) << name;
        const auto graph = transformer(4), unet_graph = unet({1});
        const bool is_unet = std::string_view(name).starts_with("UNet");
        for (const Preset& preset : presets) {  // whether they decide while running is said rightly
            const Config config = make_policy({name, is_unet ? unet_graph : graph}, preset.policy);
            EXPECT_EQ(config.at(0).decide.has_value(), preset.decides_while_running) << preset.policy;
        }
    }
}

// Before a run by the plan, after it by what was decided.
TEST(Advice, IsGivenWhereNothingIsReused) {
    const auto graph = transformer(4);
    const PolicyContext context = {"PixArtTransformer2DModel", graph};
    const auto advice = [&](const Config& config, int branches = 2) {
        const auto units = with_units(graph, config);
        return advice_on(
            config, make_schedule(units ? units->graph : graph, units ? units->config : config, 6, branches));
    };
    EXPECT_EQ(advice(make_policy(context, "deepcache")), "");
    EXPECT_EQ(advice(guidance_reuse({})), "");
    EXPECT_EQ(advice(easy_cache({{0.1, 1}})), "");
    EXPECT_THAT(advice({}), HasSubstr("reuses nothing, every step runs in full: it has no entry"));
    EXPECT_THAT(advice({{"*", "step > 6"}}), HasSubstr("at none of 6 steps"));
    EXPECT_THAT(advice(easy_cache({{0, 1}})), HasSubstr("its threshold is 0"));
    EXPECT_THAT(advice(easy_cache({{0.1, 5}})), HasSubstr("at none of 6 steps"));  // nor the last
    EXPECT_EQ(advice(easy_cache({{0.1, 4}})), "");
    EXPECT_EQ(advice(replay(easy_cache({{0, 1}}), {{}, {2}})), "");
    EXPECT_THAT(advice(replay(easy_cache({{1, 1}}), {{}, {}})), HasSubstr("reuses nothing"));
    // of what was asked nothing is left in a run without guidance
    const Schedule nothing{6, 1, Count::steps, {}, {}};
    EXPECT_THAT(advice_on(guidance_reuse({}), nothing), HasSubstr("this run has no guidance"));

    const auto after = [&](const Config& config, const std::vector<std::vector<int>>& decisions) {
        const auto units = with_units(graph, config);
        return advice_after(make_schedule(units->graph, units->config, 6, 2), decisions);
    };
    EXPECT_THAT(after(easy_cache({{0.1, 1}}), {{}, {}}), HasSubstr("threshold of 0.1 in this run"));
    EXPECT_EQ(after(easy_cache({{0.1, 1}}), {{}, {3}}), "");
    EXPECT_EQ(after(easy_cache({{0, 1}}), {{}}), "");                         // was said before
    EXPECT_EQ(after(easy_cache({{0.1, 1}}) + guidance_reuse({}), {{}}), "");  // a half was left out
}

TEST(BranchRules, AreChecked) {
    const auto graph = transformer(4);
    const auto entry = [](const char* half, const char* steps, Store::Rule rule) {
        return Entry{half, steps, {ModuleKind::guidance}, {rule}};
    };
    const Config drop = {entry("unconditional", "step > 1", Store::Rule::drop)};
    const auto schedule = make_schedule(graph, drop, 4, 2);
    EXPECT_EQ(schedule.stand_in(0, 1), nullptr);
    EXPECT_NE(schedule.stand_in(0, 2), nullptr);
    EXPECT_EQ(schedule.stand_in(1, 2), nullptr);
    EXPECT_THAT(error_of([&] { make_schedule(graph, drop, 4, 1); }), HasSubstr("two passes"));
    EXPECT_THAT(error_of([&] { make_schedule(graph, {entry("*", "step > 1", Store::Rule::drop)}, 4, 2); }),
                HasSubstr("both halves"));
    EXPECT_THAT(error_of([&] {
                    make_schedule(graph, {entry("unconditional", "step >= 0", Store::Rule::delta)}, 4, 2);
                }),
                HasSubstr("step 0"));
    // the difference of halves that never ran together
    EXPECT_THAT(error_of([&] {
                    make_schedule(graph,
                                  {entry("conditional", "step == 0", Store::Rule::drop),
                                   entry("unconditional", "step == 1", Store::Rule::delta)},
                                  4, 2);
                }),
                HasSubstr("no step runs both"));
    EXPECT_THAT(
        error_of([&] { make_schedule(graph, {entry("third", "step > 1", Store::Rule::drop)}, 4, 2); }),
        HasSubstr("matches no module"));
    EXPECT_THAT(error_of([&] {
                    make_schedule(graph, {{"*", "step > 1", {ModuleKind::block}, {Store::Rule::drop}}}, 4, 2);
                }),
                HasSubstr("can be dropped"));
    // a sum of more predictions than there are
    Entry sum = entry("unconditional", "step == 2", Store::Rule::linear);
    sum.store.weights = {{3, -3, 1}};
    EXPECT_THAT(error_of([&] { make_schedule(graph, {sum}, 4, 2); }),
                HasSubstr("certain to have run at only 2 steps before"));
    sum.store.weights = {{2, -1}};
    EXPECT_EQ(make_schedule(graph, {sum}, 4, 2).branch_rules.size(), 1U);
    sum.store.rule = Store::Rule::delta_linear;
    EXPECT_THAT(error_of([&] { make_schedule(graph, {sum}, 4, 2); }), HasSubstr("has no such store"));
}

Tensor filled(float value) {
    Tensor tensor(DType::f32, {1, 2});
    for (float& x : tensor.span<float>()) x = value;
    return tensor;
}

TEST(BranchMemory, MakesUpWhatWasNotEvaluated) {
    Schedule schedule{6, 2, Count::steps, {}, {}};
    const auto complete = [](BranchMemory& memory, int step, float uncond, float cond, bool both) {
        std::vector<Tensor> predictions = {both ? filled(uncond) : Tensor(), filled(cond)};
        memory.complete(predictions, step, step);
        return predictions.size() == 1 ? -1.0F : predictions[0].span<float>()[0];
    };
    const std::vector<bool> reuse = {false, true, false, true, true, false};
    schedule.branch_rules = {{0, {Store::Rule::delta}, reuse}};
    BranchMemory delta(schedule);
    EXPECT_EQ(complete(delta, 0, 1, 4, true), 1);
    EXPECT_EQ(complete(delta, 1, 0, 6, false), 3);
    EXPECT_EQ(complete(delta, 2, 5, 7, true), 5);
    EXPECT_EQ(complete(delta, 3, 0, 9, false), 7);
    EXPECT_GT(delta.kept_bytes(), 0U);

    schedule.branch_rules[0].store = {Store::Rule::output};
    BranchMemory output(schedule);
    complete(output, 0, 1, 4, true);
    EXPECT_EQ(complete(output, 1, 0, 6, false), 1);

    schedule.branch_rules[0].store = {Store::Rule::forecast, 1};
    BranchMemory forecast(schedule);
    complete(forecast, 0, 1, 4, true);
    EXPECT_EQ(complete(forecast, 1, 0, 6, false), 1);
    complete(forecast, 2, 5, 7, true);
    EXPECT_EQ(complete(forecast, 3, 0, 9, false), 7);
    EXPECT_EQ(complete(forecast, 4, 0, 9, false), 9);

    schedule.branch_rules[0].store = {Store::Rule::linear};
    schedule.branch_rules[0].store.weights = {{}, {1}, {}, {2, -1}, {0, 1}};
    BranchMemory linear(schedule);
    complete(linear, 0, 1, 4, true);
    EXPECT_EQ(complete(linear, 1, 0, 6, false), 1);
    complete(linear, 2, 5, 7, true);
    EXPECT_EQ(complete(linear, 3, 0, 9, false), 9);
    EXPECT_EQ(complete(linear, 4, 0, 9, false), 1);
    EXPECT_EQ(linear.kept_bytes(), 2 * filled(0).bytes());

    schedule.branch_rules[0].store = {Store::Rule::drop};
    BranchMemory drop(schedule);
    EXPECT_EQ(complete(drop, 1, 0, 6, false), -1);
}

}  // namespace
}  // namespace reprise::cachify
