// Policies that decide while running, on whole pipelines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/metrics.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"
#include "reprise/running_policies.h"

namespace reprise {
namespace {

using cachify::Config;
using reprise::testing::error_of;
using reprise::testing::same_bits;
using reprise::testing::shared_fixture;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

GenerateOptions apple(GuidanceMode mode = GuidanceMode::batched) {
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 8;
    options.seed = 42;
    options.guidance_mode = mode;
    options.decode = false;
    return options;
}

/// Every running policy that needs no profile, with this threshold.
std::vector<Config> policies(const Pipeline& pipe, double threshold) {
    cachify::DualBlockCacheOptions blocks;
    blocks.first = 1;
    blocks.running = {threshold};
    auto forecast = blocks;
    forecast.order = 1;
    return {cachify::dual_block_cache(pipe, blocks), cachify::dual_block_cache(pipe, forecast),
            cachify::easy_cache({{threshold}}), cachify::unet_cache({{threshold}})};
}

class Running : public ::testing::TestWithParam<const char*> {};

TEST_P(Running, AThresholdOfZeroIsTheFullResult) {
    auto& pipe = shared_fixture(GetParam());
    const Tensor full = pipe(apple()).latents;
    for (const Config& config : policies(pipe, 0)) {
        cachify::prepare(pipe, 8, config);
        const auto output = pipe(apple());
        EXPECT_THAT(output.report.decisions, ElementsAre(std::vector<int>{}));
        EXPECT_LT(relative_error(output.latents, full), 1e-5);
        cachify::disable(pipe);
        EXPECT_TRUE(same_bits(pipe(apple()).latents, output.latents)) << "the prepared cut in full";
    }
}

TEST_P(Running, WhatWasDecidedIsReportedAndReplays) {
    auto& pipe = shared_fixture(GetParam());
    const Tensor full = pipe(apple()).latents;
    for (const double threshold : {0.3, 1e9})
        for (const Config& config : policies(pipe, threshold)) {
            cachify::prepare(pipe, 8, config);
            const auto output = pipe(apple());
            std::vector<int> reused;
            for (const auto& step : output.report.steps)
                if (step.reused) reused.push_back(step.step);
            EXPECT_THAT(output.report.decisions, ElementsAre(reused));
            if (threshold > 1) {
                EXPECT_GE(reused.size(), 4U);
                EXPECT_LT(output.report.flops_run, 0.8 * output.report.flops_full);
                EXPECT_GT(relative_error(output.latents, full), 1e-4);
            }
            const auto again = cachify::parse_config(
                cachify::to_json(cachify::replay(config, output.report.decisions)), "record");
            cachify::prepare(pipe, 8, again);
            const auto replayed = pipe(apple());
            EXPECT_TRUE(same_bits(replayed.latents, output.latents));
            EXPECT_EQ(replayed.report.decisions, output.report.decisions);
        }
}

TEST_P(Running, BothWaysOfGuidanceDecideAlike) {
    auto& pipe = shared_fixture(GetParam());
    for (const Config& config : policies(pipe, 0.3)) {
        cachify::prepare(pipe, 8, config);
        const auto batched = pipe(apple());
        const auto split = pipe(apple(GuidanceMode::split));
        EXPECT_EQ(batched.report.decisions, split.report.decisions);
        EXPECT_LT(relative_error(batched.latents, split.latents), 1e-3);
    }
}

TEST_P(Running, PicturesDecideForThemselves) {
    auto& pipe = shared_fixture(GetParam());
    const Config config = policies(pipe, 0.3)[0];
    cachify::prepare(pipe, 8, config);
    auto options = apple();
    options.num_images_per_prompt = 2;
    const auto both = pipe(options);
    ASSERT_EQ(both.report.decisions.size(), 2U);
    const auto one = pipe(apple());
    EXPECT_EQ(both.report.decisions[0], one.report.decisions[0]);
    EXPECT_TRUE(same_bits(both.latents.rows(0, 1), one.latents));
}

TEST_P(Running, TheBackendsAgree) {
    auto& pipe = shared_fixture(GetParam());
    auto& oracle = shared_fixture(GetParam(), "reference");
    const auto config = policies(pipe, 0.3);
    for (std::size_t i = 0; i < config.size(); i += 2) {
        cachify::prepare(pipe, 8, config[i]);
        cachify::prepare(oracle, 8, config[i]);
        const auto a = pipe(apple());
        const auto b = oracle(apple());
        EXPECT_EQ(a.report.decisions, b.report.decisions);
        EXPECT_LT(relative_error(a.latents, b.latents), 1e-3);
    }
}

INSTANTIATE_TEST_SUITE_P(Models, Running, ::testing::Values("tiny-sdxl", "tiny-pixart", "tiny-sd3"),
                         [](const auto& test) {
                             std::string name = test.param;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

TEST(RunningPolicies, WhatMakesNoSenseIsRefused) {
    auto& pipe = shared_fixture("tiny-sdxl");
    const auto refusal = [&](const char* policy) {
        return error_of([&] {
            cachify::prepare(pipe, 8, cachify::make_policy(pipe, policy));
            pipe(apple());
        });
    };
    EXPECT_THAT(refusal("dbcache:first=9"), HasSubstr("first is 9"));
    EXPECT_THAT(refusal("fbcache:threshold=-1"), HasSubstr("threshold"));
    EXPECT_THAT(refusal("dbcache:first=1,mask=faster"), HasSubstr("'faster' is no step mask"));
    EXPECT_THAT(refusal("fbcache+easycache"), HasSubstr("same decision"));
    EXPECT_THAT(refusal("magcache"), HasSubstr("profile"));
}

TEST(Presets, ReuseMoreAndMore) {
    auto& pipe = shared_fixture("tiny-sdxl");
    double before = 1;
    for (const char* preset : {"slow", "medium", "fast", "ultra"}) {
        cachify::prepare(pipe, 20, cachify::make_policy(pipe, preset));
        auto options = apple();
        options.num_inference_steps = 20;
        const auto report = pipe(options).report;
        const double share = report.flops_run / report.flops_full;
        EXPECT_LT(share, before) << preset;
        before = share;
    }
}

TEST(Presets, AreThereForEveryClass) {
    for (const char* folder : {"tiny-sdxl", "tiny-sd", "tiny-pixart", "tiny-sd3", "tiny-svd"}) {
        auto& pipe = shared_fixture(folder);
        for (const char* preset : {"slow", "medium", "fast", "ultra"}) {
            SCOPED_TRACE(std::string(folder) + " " + preset);
            EXPECT_NO_THROW(cachify::prepare(pipe, 20, cachify::make_policy(pipe, preset)));
        }
    }
}

TEST(RunningPolicies, CombineWithGuidanceReuseAndHeun) {
    auto& pipe = shared_fixture("tiny-sdxl");
    cachify::prepare(pipe, 8, cachify::make_policy(pipe, "fbcache:threshold=100+guidance"));
    auto options = apple(GuidanceMode::automatic);
    options.scheduler = "heun";
    const auto output = pipe(options);
    EXPECT_EQ(output.report.guidance_mode, GuidanceMode::split);
    ASSERT_EQ(output.report.decisions.size(), 1U);
    // All steps but the first, each decided once, and the first that runs the other half alone, whose probe
    // has nothing to be compared with.
    EXPECT_THAT(output.report.decisions[0], ElementsAre(1, 2, 4, 5, 6, 7));
}

}  // namespace
}  // namespace reprise
