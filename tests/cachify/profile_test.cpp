// Profiles, what is fitted to them and the schedules made from them.
#include "reprise/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cachify/policies.h"
#include "cachify/schedule.h"
#include "cachify/support.h"
#include "graph/builder.h"
#include "models/denoiser.h"

namespace reprise::cachify {
namespace {

using reprise::testing::error_of;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pointwise;

graph::Graph blocks() {
    graph::Builder b("denoiser", DType::f32, nullptr);
    graph::Value x = b.input(models::latents_input({1, 4}));
    for (const char* name : {"transformer_blocks.0", "transformer_blocks.1", "transformer_blocks.2"}) {
        auto scope = b.module(name, ModuleKind::block);
        scope.takes({x});
        x = scope.returns(x * 2.0F);
    }
    b.output("sample", x);
    return b.finish();
}

Profile some_profile() {
    Profile profile;
    profile.model = {"PixArtTransformer2DModel", "00c0ffee", "0ddba11"};
    profile.run = {"EulerDiscreteScheduler", 4, 16, 16, 4.5, "f32", {"an \"apple\""}, {0, 7}};
    profile.modules = {{"transformer_blocks.0", ModuleKind::block, true, {0, 0.1, 0.2, 0.4}},
                       {"transformer_blocks.1", ModuleKind::block, false, {0, 0.3, 0.1, 0.1}},
                       {"transformer_blocks.2", ModuleKind::block, true, {0, 0.9, 0.8, 0.7}}};
    profile.block_ratios = {1, 0.99, 0.9, 0.8};
    profile.denoiser_ratios = {1, 0.98, 0.9, 0.8};
    profile.input_changes = {0.1, 0.2, 0.3};
    profile.output_changes = {0.2, 0.25, 0.5};
    profile.polynomial = {1.5, -0.25, 0.125};
    profile.polynomial_error = 0.01;
    return profile;
}

// The paper's example: of 20 steps the second transformer of LDM-512 runs at 1, 6, 10, 14 and 18, counted
// from 1.
TEST(BlockCaching, RunsWhereTheChangeHasGathered) {
    std::vector<double> change(20, 0.25);
    change[1] = change[2] = 0.1;
    std::vector<int> run;
    const auto reused = block_caching_steps(change, 0.8);
    for (int step = 0; step < 20; ++step)
        if (std::find(reused.begin(), reused.end(), step) == reused.end()) run.push_back(step + 1);
    EXPECT_THAT(run, ElementsAre(1, 6, 10, 14, 18));
    EXPECT_THAT(block_caching_steps({0, 0.1, 0.1, 0.1}, 0.2), ElementsAre(1, 2));
    EXPECT_THAT(block_caching_steps({0, 0, 0, 0}, 0), IsEmpty());
}

// Where its transformer is reused, an attention neither runs nor is asked for.
TEST(BlockCaching, WhatIsWithinAReusedModuleDoesNotRun) {
    EXPECT_THAT(block_caching_steps({0, 0.2, 0.2, 0.2, 0.2, 0.2}, 0.5, {1, 3, 4}), ElementsAre(2));
    Profile profile = some_profile();
    profile.modules = {
        {"transformer_blocks.0.attn1", ModuleKind::self_attention, false, {0, 0.2, 0.2, 0.2}},
        {"transformer_blocks.0", ModuleKind::block, true, {0, 0.1, 0.2, 0.4}}};  // reused at 1 and 2
    const auto config =
        block_caching(profile, {.threshold = 0.35, .kinds = {ModuleKind::block, ModuleKind::self_attention}});
    ASSERT_EQ(config.size(), 1U);  // 0.6 has gathered where it may run again
    EXPECT_TRUE(config[0].wildcard_or_filter_func.matches("transformer_blocks.0"));
}

TEST(BlockCaching, GivesEachModuleItsOwnSteps) {
    const auto config = block_caching(some_profile(), {.threshold = 0.35});
    ASSERT_EQ(config.size(), 2U);
    const auto schedule = make_schedule(blocks(), config, 4, 1);
    ASSERT_EQ(schedule.rules.size(), 2U);
    EXPECT_THAT(schedule.rules[0].reuse[0], ElementsAre(false, true, true, false));
    EXPECT_EQ(schedule.rules[0].store.rule, Store::Rule::delta);
    EXPECT_THAT(schedule.rules[1].reuse[0], ElementsAre(false, true, false, true));
    EXPECT_EQ(schedule.rules[1].store.rule, Store::Rule::output);
    EXPECT_THAT(block_caching(some_profile(), {.threshold = 0}), IsEmpty());
    EXPECT_THAT(error_of([&] { make_schedule(blocks(), config, 5, 1); }),
                HasSubstr("is for 4 steps; asked for 5"));
    EXPECT_THAT(error_of([] { block_caching(some_profile(), {.threshold = -1}); }), HasSubstr("threshold"));
    EXPECT_THAT(error_of([] { block_caching(some_profile(), {.kinds = {ModuleKind::resnet}}); }),
                HasSubstr("no module of these kinds"));
}

TEST(Profiles, SurviveTheirJson) {
    const Profile profile = some_profile();
    const std::string json = to_json(profile);
    EXPECT_EQ(parse_profile(json, "test"), profile);
    EXPECT_EQ(to_json(parse_profile(json, "test")), json);
}

TEST(Profiles, AreChecked) {
    const auto without = [](const std::string& was, const std::string& is) {
        std::string json = to_json(some_profile());
        json.replace(json.find(was), was.size(), is);
        return error_of([&] { parse_profile(json, "p.json"); });
    };
    EXPECT_THAT(without("\"model\"", "\"modal\""), HasSubstr("p.json: 'model'"));
    EXPECT_THAT(without("\"reprise_profile\": 1", "\"reprise_profile\": 2"), HasSubstr("version 2"));
    EXPECT_THAT(without("\"change\":[0,0.1,", "\"change\":["), HasSubstr("change has 2 numbers"));
    EXPECT_THAT(without("\"change\":[0,0.1,", "\"change\":[0,-0.1,"), HasSubstr("no negative"));
    EXPECT_THAT(without("\"block\"", "\"brick\""), HasSubstr("brick"));
    EXPECT_THAT(without("\"input_changes\": [", "\"input_changes\": [1,"), HasSubstr("4 input_changes"));
    EXPECT_THAT(without("\"steps\":4", "\"steps\":-4"), HasSubstr("-4 steps"));
    EXPECT_THAT(error_of([] { parse_profile("[]", "p.json"); }), HasSubstr("p.json"));
}

TEST(Polynomials, AreFoundAgain) {
    const std::vector<double> wanted = {3, -2, 0.5, 4, -1};
    std::vector<double> x, y;
    for (int i = 0; i < 40; ++i) {
        x.push_back(0.01 * i + 0.3);
        y.push_back(evaluate_polynomial(wanted, x.back()));
    }
    EXPECT_THAT(fit_polynomial(x, y, 4), Pointwise(DoubleNear(1e-6), wanted));
}

// TeaCache's inputs lie between 0.01 and 0.1: the columns of a plain fit are nearly parallel there.
TEST(Polynomials, AreFittedWellToSmallInputs) {
    std::vector<double> x, y;
    double sign = 1;
    for (int i = 0; i < 60; ++i) {
        x.push_back(0.02 + 0.0005 * i);
        y.push_back(std::sin(80 * x.back()) + 0.001 * sign);
        sign = -sign;
    }
    const auto fitted = fit_polynomial(x, y, 4);
    const auto error = [&](const std::vector<double>& polynomial) {
        double sum = 0;
        for (std::size_t i = 0; i < x.size(); ++i)
            sum += std::pow(evaluate_polynomial(polynomial, x[i]) - y[i], 2);
        return sum;
    };
    for (std::size_t k = 0; k < fitted.size();
         ++k)  // the least squares: a change of any coefficient is worse
        for (const double factor : {1 - 1e-4, 1 + 1e-4}) {
            auto other = fitted;
            other[k] *= factor;
            EXPECT_GT(error(other), error(fitted));
        }
    EXPECT_LT(std::sqrt(error(fitted) / 60), 0.01);
}

TEST(Polynomials, HaveASmallerDegreeWithFewInputs) {
    EXPECT_THAT(fit_polynomial({0.5, 0.5}, {1, 3}, 4), ElementsAre(DoubleNear(2, 1e-12)));
    EXPECT_THAT(fit_polynomial({1, 2}, {1, 3}, 4), ElementsAre(DoubleNear(2, 1e-12), DoubleNear(-1, 1e-12)));
}

TEST(Evidence, IsHeldAgainstTheDenoiser) {
    const Profile profile = some_profile();
    const std::string json =
        to_json(block_caching(profile, {.threshold = 0.35}), Evidence{profile.model, profile.run, {}, {}});
    const auto graph = blocks();
    DenoiserIdentity own = profile.model;
    PolicyContext context = {"PixArtTransformer2DModel", graph, [&] { return own; }};
    const auto parsed = parse_config(json, "t.json", context);
    ASSERT_EQ(parsed.size(), 2U);
    EXPECT_THAT(make_schedule(graph, parsed, 4, 1).rules[0].reuse[0], ElementsAre(false, true, true, false));
    EXPECT_THAT(error_of([&] { make_schedule(graph, parsed, 6, 1); }), HasSubstr("asked for 6"));

    const auto refusal = [&] { return error_of([&] { parse_config(json, "t.json", context); }); };
    own.weights = "f00";
    EXPECT_THAT(refusal(),
                HasSubstr("t.json: it is for a PixArtTransformer2DModel of these sizes with other weights"));
    own.weights = "";  // a folder without weights, for plans
    EXPECT_THAT(refusal(), "");
    own.config = "f00";
    EXPECT_THAT(refusal(), HasSubstr("of other sizes"));
    context.denoiser_class = "SD3Transformer2DModel";
    EXPECT_THAT(refusal(), HasSubstr("this model's denoiser is a SD3Transformer2DModel"));
    EXPECT_THAT(error_of([&] { parse_config(json, "t.json"); }), HasSubstr("with the pipeline"));
    EXPECT_THAT(error_of([&] { parse_config(R"({"entries": [], "evidence": 3})", "t.json", context); }),
                HasSubstr("names no model"));
}

TEST(BlockCaching, IsAPolicyWithAFile) {
    const auto graph = blocks();
    const PolicyContext context = {"PixArtTransformer2DModel", graph};
    EXPECT_THAT(error_of([&] { make_policy(context, "blockcache:threshold=0.2"); }),
                HasSubstr("blockcache: give profile="));
    EXPECT_THAT(error_of([&] { make_policy(context, "blockcache:profile=nowhere.json"); }),
                HasSubstr("nowhere.json"));
}

}  // namespace
}  // namespace reprise::cachify
