// What a calibration measures: by hand on numbers, and on whole pipelines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/generator.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"
#include "schedulers/registry.h"
#include "tune/changes.h"

namespace reprise::tune {
namespace {

using reprise::testing::same_bits;
using ::testing::Contains;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;

/// On the reference backend, which compiles nothing: the models are small.
Pipeline open_fixture(const char* folder) {
    return reprise::testing::open_fixture(folder, "reference");
}

Tensor tokens(const std::vector<float>& values) {
    return Tensor::from({1, static_cast<std::int64_t>(values.size() / 2), 2}, values);
}

const auto kNear = [](double value) { return DoubleNear(value, 1e-6); };

TEST(Series, FollowsAValueFromStepToStep) {
    Series series;
    series.begin_run();
    series.see(0, 0, {tokens({3, 4, 0, 1})});
    series.see(1, 0, {tokens({6, 8, 0, 0.5})});
    series.end_run();
    EXPECT_THAT(series.change(), ElementsAre(kNear(0), kNear(7.5 / 14.5)));
    EXPECT_THAT(series.ratios(), ElementsAre(kNear(1), kNear((2 + 0.5) / 2)));
    EXPECT_THAT(series.from_before(), ElementsAre(kNear(7.5 / 8)));
    // A second run of other values: the means.
    series.begin_run();
    series.see(0, 0, {tokens({1, 0, 1, 0})});
    series.see(1, 0, {tokens({1, 0, 1, 0})});
    series.end_run();
    EXPECT_THAT(series.change(), ElementsAre(kNear(0), kNear(7.5 / 14.5 / 2)));
    EXPECT_THAT(series.from_before(), ElementsAre(kNear(7.5 / 8), kNear(0)));
}

TEST(Series, ComparesEachEvaluationWithTheLastOfTheStepBefore) {
    Series series;
    series.begin_run();
    for (const float value : {1.0F, 2.0F}) series.see(0, 0, {tokens({value, 0})});  // Heun's two
    for (const float value : {4.0F, 8.0F}) series.see(1, 0, {tokens({value, 0})});
    series.end_run();
    EXPECT_THAT(series.change(), ElementsAre(kNear(0), kNear((2.0 + 6.0) / (4 + 8))));
}

TEST(Series, BothHalvesOfGuidanceAreOne) {
    Series halves, batch;
    halves.begin_run();
    batch.begin_run();
    for (int step = 0; step < 2; ++step) {
        const float a = step == 0 ? 1 : 3, b = step == 0 ? 5 : 6;
        halves.see(step, 0, {Tensor::from({1, 1, 2}, std::vector<float>{a, b})});
        halves.see(step, 1, {Tensor::from({1, 1, 2}, std::vector<float>{b, a})});
        batch.see(step, 0, {Tensor::from({2, 1, 2}, std::vector<float>{a, b, b, a})});
    }
    halves.end_run();
    batch.end_run();
    EXPECT_EQ(halves.change(), batch.change());
    EXPECT_EQ(halves.ratios(), batch.ratios());
}

TEST(Series, TakesChannelsOfPicturesAsTokens) {
    Series series;
    series.begin_run();
    series.see(0, 0, {Tensor::from({1, 2, 1, 2}, std::vector<float>{3, 1, 4, 0})});  // pixels (3, 4), (1, 0)
    series.see(1, 0, {Tensor::from({1, 2, 1, 2}, std::vector<float>{0, 3, 5, 0})});  // (0, 5), (3, 0)
    series.end_run();
    EXPECT_THAT(series.ratios(), ElementsAre(kNear(1), kNear((1 + 3.0) / 2)));
}

CalibrateOptions two_runs(GuidanceMode mode = GuidanceMode::split) {
    CalibrateOptions options;
    options.generate.num_inference_steps = 5;
    options.generate.guidance_mode = mode;
    options.prompts = {"red apple"};
    options.seeds = {3, 4};
    return options;
}

TEST(Calibrate, MeasuresEveryBlockOfEveryKindOfDenoiser) {
    for (const char* folder : {"tiny-sdxl", "tiny-pixart", "tiny-sd3"}) {
        SCOPED_TRACE(folder);
        auto pipe = open_fixture(folder);
        const auto profile = calibrate(pipe, two_runs());
        std::size_t blocks = 0;
        auto& denoiser = pipe.implementation().denoiser();
        const auto graph = denoiser.structure(pipe.implementation().outlook({}).shape);
        for (const auto& module : graph.modules) blocks += module.kind == ModuleKind::block ? 1 : 0;
        ASSERT_EQ(profile.modules.size(), blocks);
        for (const auto& module : profile.modules) {
            ASSERT_EQ(module.change.size(), 5U);
            EXPECT_EQ(module.change[0], 0);
            EXPECT_THAT(std::vector<double>(module.change.begin() + 1, module.change.end()), Each(Gt(0)));
        }
        EXPECT_EQ(profile.block_ratios.size(), 5U);
        EXPECT_EQ(profile.input_changes.size(), 8U);
        EXPECT_EQ(profile.output_changes.size(), 8U);
        EXPECT_EQ(profile.polynomial.size(), 5U);
        EXPECT_EQ(profile.run.num_inference_steps, 5);
        EXPECT_FALSE(profile.model.weights.empty());
        EXPECT_EQ(cachify::to_json(cachify::parse_profile(cachify::to_json(profile), "t")),
                  cachify::to_json(profile));
    }
}

TEST(Calibrate, MeasuresTheSameInBothModesOfGuidance) {
    auto pipe = open_fixture("tiny-sdxl");
    const auto split = calibrate(pipe, two_runs());
    const auto batched = calibrate(pipe, two_runs(GuidanceMode::batched));
    for (std::size_t m = 0; m < split.modules.size(); ++m)
        for (std::size_t step = 1; step < 5; ++step)
            EXPECT_NEAR(split.modules[m].change[step], batched.modules[m].change[step],
                        1e-3 * split.modules[m].change[step]);
}

// What the watch sees is what runs: Euler's steps tell the predictions, and so how they changed.
TEST(Calibrate, ThePredictionsAreThoseOfTheRun) {
    auto pipe = open_fixture("tiny-sdxl");
    auto options = two_runs();
    options.seeds = {3};
    options.generate.guidance_scale = 1;
    options.generate.scheduler = "euler";
    const auto profile = calibrate(pipe, options);
    ASSERT_EQ(profile.output_changes.size(), 4U);

    auto generate = options.generate;
    generate.prompt = "red apple";
    generate.seed = 3;
    generate.decode = false;
    std::vector<Tensor> latents = {Generator(3).randn({1, 4, 8, 8})};
    const Config config = pipe.implementation().source()->config("scheduler");
    const auto scheduler = make_scheduler("euler", config.json, config.file);
    const auto sampler = scheduler->start(5);
    for (float& value : latents[0].span<float>()) value *= sampler->init_noise_sigma();
    generate.callback_on_step_end = [&](const StepInfo& info) {
        latents.push_back(info.latents.clone());
        return true;
    };
    pipe(generate);
    ASSERT_EQ(latents.size(), 6U);
    std::vector<std::vector<double>> predictions;
    for (int step = 0; step < 5; ++step) {
        const double slope = (step < 4 ? sampler->sigma(step + 1) : 0) - sampler->sigma(step);
        auto& values = predictions.emplace_back();
        const auto s = static_cast<std::size_t>(step);
        for (std::size_t i = 0; i < latents[s].span<float>().size(); ++i)
            values.push_back((latents[s + 1].span<float>()[i] - latents[s].span<float>()[i]) / slope);
    }
    for (std::size_t s = 1; s < 5; ++s) {
        double moved = 0, before = 0;
        for (std::size_t i = 0; i < predictions[s].size(); ++i) {
            moved += std::abs(predictions[s][i] - predictions[s - 1][i]);
            before += std::abs(predictions[s - 1][i]);
        }
        EXPECT_GT(moved, 0);
        EXPECT_NEAR(profile.output_changes[s - 1], moved / before, 1e-3 * moved / before) << s;
    }
}

TEST(Calibrate, LeavesThePipelineAsItWas) {
    auto pipe = open_fixture("tiny-sdxl");
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 5;
    options.guidance_mode = GuidanceMode::split;
    options.decode = false;
    const auto plain = pipe(options).latents;
    cachify::prepare(pipe, 5, cachify::make_policy(pipe, "modelopt"));
    const auto reused = pipe(options).latents;
    calibrate(pipe, two_runs());
    EXPECT_TRUE(same_bits(pipe(options).latents, reused));
    auto stopped = two_runs();
    stopped.generate.callback_on_step_end = [](const StepInfo& info) { return info.step < 2; };
    EXPECT_THROW(calibrate(pipe, stopped), Error);
    EXPECT_TRUE(same_bits(pipe(options).latents, reused));
    cachify::unprepare(pipe);
    EXPECT_TRUE(same_bits(pipe(options).latents, plain));
}

TEST(Calibrate, OtherKindsAreMeasuredOnDemandAndGetSchedules) {
    auto pipe = open_fixture("tiny-sdxl");
    auto options = two_runs();
    options.kinds = {ModuleKind::transformer};
    const auto profile = calibrate(pipe, options);
    std::vector<std::string> names;
    for (const auto& module : profile.modules) names.push_back(module.name);
    EXPECT_THAT(names, Contains("mid_block.attentions.0"));
    const auto config = cachify::block_caching(profile, {1e9, {ModuleKind::transformer}});
    cachify::prepare(pipe, 5, config);
    GenerateOptions generate;
    generate.prompt = "red apple";
    generate.num_inference_steps = 5;
    generate.decode = false;
    const auto report = pipe(generate).report;
    EXPECT_LT(report.flops_run, report.flops_full);
    EXPECT_FALSE(report.steps[0].reused);
    EXPECT_TRUE(report.steps[1].reused);
}

TEST(Identity, TellsDenoisersApart) {
    const auto sdxl = open_fixture("tiny-sdxl").implementation().identity();
    EXPECT_EQ(open_fixture("tiny-sdxl").implementation().identity(), sdxl);
    EXPECT_EQ(sdxl.class_name, "UNet2DConditionModel");
    const auto sd = open_fixture("tiny-sd").implementation().identity();
    EXPECT_NE(sd.config, sdxl.config);
    EXPECT_NE(sd.weights, sdxl.weights);
}

TEST(Identity, AFileForAnotherDenoiserIsRefused) {
    auto pipe = open_fixture("tiny-sdxl");
    const auto profile = calibrate(pipe, two_runs());
    const auto path = std::filesystem::path(::testing::TempDir()) / "block-caching.json";
    FILE* file = std::fopen(path.c_str(), "w");
    std::fputs(cachify::to_json(cachify::block_caching(profile, {0.5}),
                                cachify::Evidence{profile.model, profile.run, {}, {}})
                   .c_str(),
               file);
    std::fclose(file);
    EXPECT_NO_THROW(cachify::load_config(pipe, path.string()));
    try {
        const auto other = open_fixture("tiny-sd");
        cachify::load_config(other, path.string());
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(),
                    HasSubstr("block-caching.json: it is for a UNet2DConditionModel of other sizes"));
    }
    std::filesystem::remove(path);
}

}  // namespace
}  // namespace reprise::tune
