// The interface that users see: prepare and friends on a whole pipeline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "media/metrics.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"
#include "schedulers/registry.h"

namespace reprise {
namespace {

using reprise::testing::error_of;
using reprise::testing::same_bits;
using ::testing::HasSubstr;

Pipeline open(const std::string& backend = "", DType precision = DType::f32) {
    return testing::open_fixture("tiny-sdxl", backend, precision);
}

GenerateOptions apple(int steps = 6) {
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = steps;
    options.seed = 42;
    options.guidance_mode = GuidanceMode::batched;
    options.decode = false;
    return options;
}

int reused_steps(const GenerateOutput& output) {
    int count = 0;
    for (const auto& step : output.report.steps) count += step.reused ? 1 : 0;
    return count;
}

TEST(Cachify, PrepareEnableDisableUnprepare) {
    auto pipe = open();
    const auto plain = pipe(apple());
    EXPECT_EQ(reused_steps(plain), 0);

    cachify::prepare(pipe, 6, cachify::SDXL_DEFAULT_CONFIG);
    const auto reused = pipe(apple());
    EXPECT_EQ(reused_steps(reused), 3);
    EXPECT_LT(reused.report.flops_run, 0.7 * reused.report.flops_full);
    EXPECT_GT(reused.report.kept_bytes, 0U);
    EXPECT_GT(relative_error(reused.latents, plain.latents), 1e-4);
    EXPECT_THAT(reused.report.summary, HasSubstr("at 3 of 6 steps"));

    cachify::disable(pipe);  // the prepared cut in full: another cut than the plain one, so not bit for bit
    const auto disabled = pipe(apple());
    EXPECT_EQ(reused_steps(disabled), 0);
    EXPECT_LT(relative_error(disabled.latents, plain.latents), 1e-5);

    cachify::enable(pipe);
    EXPECT_TRUE(same_bits(pipe(apple()).latents, reused.latents));
    cachify::unprepare(pipe);
    EXPECT_TRUE(same_bits(pipe(apple()).latents, plain.latents));
    EXPECT_THAT(error_of([&] { cachify::enable(pipe); }), HasSubstr("cachify::prepare"));
}

TEST(Cachify, PrepareAgainReplaces) {
    auto pipe = open();
    cachify::prepare(pipe, 6, cachify::SDXL_DEFAULT_CONFIG);
    const auto first = pipe(apple());
    cachify::prepare(pipe, 6, {{"mid_block", [](int step) { return step == 3; }}});
    EXPECT_EQ(reused_steps(pipe(apple())), 1);
    cachify::prepare(pipe, 6, cachify::make_policy(pipe, "modelopt"));
    EXPECT_TRUE(same_bits(pipe(apple()).latents, first.latents));
}

TEST(Cachify, WithoutAConfigurationItIsAuto) {
    auto pipe = open();
    cachify::prepare(pipe, 8);  // an untuned UNet: the preset that is ahead of fewer steps
    GenerateOptions eight = apple();
    eight.num_inference_steps = 8;
    const auto chosen = pipe(eight);
    cachify::prepare(pipe, 8, cachify::make_policy(pipe, "taylorseer:interval=2"));
    EXPECT_TRUE(same_bits(pipe(eight).latents, chosen.latents));
    EXPECT_GT(reused_steps(chosen), 0);
    cachify::prepare(pipe, 6);  // so few that nothing is ahead
    EXPECT_EQ(reused_steps(pipe(apple())), 0);
}

TEST(Cachify, AScopeReuses) {
    auto pipe = open();
    cachify::prepare(pipe, 6, cachify::SDXL_DEFAULT_CONFIG);
    cachify::disable(pipe);
    {
        const cachify::infer scope(pipe);
        EXPECT_EQ(reused_steps(pipe(apple())), 3);
        EXPECT_EQ(pipe.last_report().steps.size(), 6U);
    }
    EXPECT_TRUE(pipe.last_report().steps.empty());
    EXPECT_EQ(reused_steps(pipe(apple())), 0);
}

TEST(Cachify, AnotherNumberOfStepsIsPlannedAnew) {
    auto pipe = open();
    cachify::prepare(pipe, 6, cachify::SDXL_DEFAULT_CONFIG);
    pipe(apple(6));
    auto fresh = open();
    cachify::prepare(fresh, 9, cachify::SDXL_DEFAULT_CONFIG);
    const auto nine = pipe(apple(9));
    EXPECT_EQ(reused_steps(nine), 4);
    EXPECT_TRUE(same_bits(nine.latents, fresh(apple(9)).latents));
}

TEST(Cachify, AFailedPrepareLeavesThePipelineAsItWas) {
    auto pipe = open();
    EXPECT_THAT(error_of([&] {
                    cachify::prepare(pipe, 6, {{"up_block.7", "step % 2"}});
                }),
                HasSubstr("matches no module"));
    EXPECT_THAT(error_of([&] {
                    cachify::prepare(pipe, 6, {{"mid_block", "step == 0"}});
                }),
                HasSubstr("'mid_block'"));
    EXPECT_EQ(reused_steps(pipe(apple())), 0);
    EXPECT_FALSE(pipe.last_report().reuse);
}

TEST(Cachify, ReusingNothingEqualsNoReuseExactly) {
    auto pipe = open("reference");
    const auto plain = pipe(apple(2));
    cachify::prepare(pipe, 2, cachify::SDXL_DEFAULT_CONFIG);
    const auto reused = pipe(apple(2));
    EXPECT_FALSE(same_bits(reused.latents, plain.latents));
    cachify::disable(pipe);  // on the reference backend a node does not depend on the cut
    EXPECT_TRUE(same_bits(pipe(apple(2)).latents, plain.latents));
    cachify::prepare(pipe, 2, {{"*", "step > 100"}});
    EXPECT_TRUE(same_bits(pipe(apple(2)).latents, plain.latents));
}

TEST(Cachify, TheTwoBackendsAgree) {
    if (backends::available().size() < 2) GTEST_SKIP() << "one backend only";
    auto fast = open();
    auto reference = open("reference");
    for (auto* pipe : {&fast, &reference}) cachify::prepare(*pipe, 3, cachify::SDXL_DEFAULT_CONFIG);
    EXPECT_LT(relative_error(fast(apple(3)).latents, reference(apple(3)).latents), 1e-4);
}

TEST(Cachify, StepsCountOnceHoweverOftenTheDenoiserIsCalled) {
    auto pipe = open();
    cachify::prepare(pipe, 6, cachify::SDXL_DEFAULT_CONFIG);
    auto options = apple();
    options.scheduler = "heun";
    for (const auto mode : {GuidanceMode::batched, GuidanceMode::split}) {
        options.guidance_mode = mode;
        const auto report = pipe(options).report;
        ASSERT_EQ(report.steps.size(), 6U);
        for (const auto& step : report.steps) {
            EXPECT_EQ(step.reused, step.step % 2 != 0);
            EXPECT_EQ(step.flops_share < 0.9, step.step % 2 != 0);
        }
    }
    // the original counts calls: 11 evaluations, the odd ones reused
    cachify::prepare(pipe, 6, cachify::SDXL_DEFAULT_CONFIG, cachify::Count::evaluations);
    const auto report = pipe(options).report;
    EXPECT_TRUE(report.steps[0].reused);
    EXPECT_NEAR(report.steps[0].flops_share, report.steps[1].flops_share, 1e-9);
}

TEST(Cachify, ThreadsGenerateAtOnceOnOnePipeline) {
    auto pipe = open();
    cachify::prepare(pipe, 6, cachify::SDXL_DEFAULT_CONFIG);
    auto other = apple();
    other.seed = 7;
    const Tensor first = pipe(apple()).latents;
    const Tensor second = pipe(other).latents;
    std::vector<Tensor> results(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < results.size(); ++i)
        threads.emplace_back([&, i] { results[i] = pipe(i % 2 == 0 ? apple() : other).latents; });
    for (auto& thread : threads) thread.join();
    for (std::size_t i = 0; i < results.size(); ++i)
        EXPECT_TRUE(same_bits(results[i], i % 2 == 0 ? first : second));
}

TEST(Cachify, StoppingFromACallback) {
    auto pipe = open();
    auto options = apple();
    options.callback_on_step_end = [](const StepInfo& info) { return info.step < 2; };
    try {
        pipe(options);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::cancelled);
        EXPECT_THAT(error.what(), HasSubstr("step 3 of 6"));
    }
}

TEST(Pipeline, RefusesWhatItCannotDo) {
    auto pipe = open();
    const auto error_with = [&](auto&& change) {
        auto options = apple();
        change(options);
        return error_of([&] { pipe(options); });
    };
    EXPECT_THAT(error_with([](auto& o) { o.width = 63; }),
                HasSubstr("width is 63; expected a multiple of 8"));
    EXPECT_THAT(error_with([](auto& o) { o.num_inference_steps = 0; }),
                HasSubstr("num_inference_steps is 0, expected"));
    EXPECT_THAT(error_with([](auto& o) { o.num_inference_steps = 100'000; }), HasSubstr("100000"));
    EXPECT_THAT(error_with([](auto& o) { o.num_images_per_prompt = 0; }),
                HasSubstr("num_images_per_prompt is 0, expected"));
    EXPECT_THAT(error_with([](auto& o) { o.guidance_rescale = 2; }), HasSubstr("guidance_rescale is 2"));
    for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL, 1e300}) {
        EXPECT_THAT(error_with([&](auto& o) { o.guidance_scale = value; }), HasSubstr("guidance_scale is "));
        EXPECT_THAT(error_with([&](auto& o) { o.guidance_rescale = value; }),
                    HasSubstr("guidance_rescale is "));
    }
    EXPECT_THAT(error_with([](auto& o) { o.scheduler = "nonsense"; }), HasSubstr("nonsense"));
    EXPECT_THAT(error_with([](auto& o) { o.clip_skip = 40; }), HasSubstr("clip_skip is 40; expected 0 to 1"));
    EXPECT_THAT(error_with([](auto& o) {
                    o.latents = Tensor(DType::f32, {1, 4, 4, 4});
                }),
                HasSubstr("(1, 4, 8, 8)"));
    EXPECT_THAT(error_with([](auto& o) { o.prompts = {"a"}; }), HasSubstr("both a prompt and a list"));
    EXPECT_THAT(error_with([](auto& o) { o.prompt_texts.emplace_back(); }),
                HasSubstr("prompt_texts has 1 entries for 0 prompts"));
    EXPECT_THAT(error_with([](auto& o) {
                    o.callback_on_step_end = [](StepInfo& info) {
                        info.latents = Tensor(DType::f32, {1, 4, 4, 4});
                        return true;
                    };
                }),
                HasSubstr("callback_on_step_end put latents of f32 (1, 4, 4, 4)"));
}

TEST(Pipeline, EverySchedulerDrawsAlikeInBothWaysOfGuidance) {
    auto pipe = open();
    std::vector<Tensor> seen;
    for (const auto& entry : schedulers()) {
        SCOPED_TRACE(entry.name);
        auto options = apple(5);
        options.scheduler = entry.name;
        if (entry.name == "flow_match_euler") {  // it is for other models
            EXPECT_THAT(error_of([&] { pipe(options); }), HasSubstr("flow matching"));
            continue;
        }
        const auto batched = pipe(options);
        EXPECT_EQ(batched.report.scheduler, entry.class_name);
        EXPECT_EQ(batched.report.steps.size(), 5U);
        for (const Tensor& other : seen) EXPECT_GT(relative_error(batched.latents, other), 1e-4);
        seen.push_back(batched.latents);
        options.guidance_mode = GuidanceMode::split;
        EXPECT_LT(relative_error(pipe(options).latents, batched.latents), 1e-4);
    }
    EXPECT_GE(seen.size(), 8U);
}

TEST(Pipeline, LatentsInPlaceOfTheSeed) {
    auto pipe = open();
    auto options = apple();
    Generator generator(42);
    options.latents = generator.randn({1, 4, 8, 8});
    options.seed = 1;
    EXPECT_TRUE(same_bits(pipe(options).latents, pipe(apple()).latents));
}

TEST(Pipeline, APictureDoesNotDependOnWhatIsMadeBesideIt) {
    auto pipe = open();
    auto options = apple();
    Generator generator(3);
    options.latents = generator.randn({2, 4, 8, 8});
    options.prompt.clear();
    options.prompts = {"red apple", "a dog"};
    const auto both = pipe(options);
    options.latents = options.latents.rows(1, 2).clone();
    options.prompts = {"a dog"};
    EXPECT_TRUE(same_bits(pipe(options).latents, both.latents.rows(1, 2).clone()));
}

TEST(Pipeline, Bf16IsCloseToF32) {
    const auto backend = backends::create("");
    if (!error_of([&] { backend->check_precision("CPU", DType::bf16); }).empty())
        GTEST_SKIP() << "no native bf16 here";
    auto exact = open();
    auto fast = open("", DType::bf16);
    auto options = apple(1);  // one step: random weights blow differences up from step to step
    options.guidance_scale = 1;
    EXPECT_LT(relative_error(fast(options).latents, exact(options).latents), 0.02);
}

}  // namespace
}  // namespace reprise
