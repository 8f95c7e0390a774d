// Runs that start later or end earlier, and pipelines with several denoisers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "files/model_folder.h"
#include "files/safetensors.h"
#include "files/support.h"
#include "models/registry.h"
#include "pipelines/registry.h"
#include "pipelines/sampling_loop.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"
#include "schedulers/registry.h"

namespace reprise::pipelines {
namespace {

using reprise::testing::error_of;
using reprise::testing::open_fixture;
using reprise::testing::same_bits;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kSteps = 10;

std::vector<Evaluation> evaluations_at(std::initializer_list<std::pair<int, float>> all) {
    std::vector<Evaluation> evaluations;
    for (const auto& [step, timestep] : all) evaluations.push_back({step, timestep});
    return evaluations;
}

TEST(Stages, PartsOfTheWayAreEvaluations) {
    const auto plain = evaluations_at({{0, 901}, {1, 601}, {2, 301}, {3, 1}});
    EXPECT_EQ(range_of(plain, {}, 1000), (EvaluationRange{0, 4}));
    EXPECT_EQ(range_of(plain, {{}, 0.699}, 1000), (EvaluationRange{0, 3}));  // to 301, which is in it
    EXPECT_EQ(range_of(plain, {0.699, {}}, 1000), (EvaluationRange{3, 4}));
    EXPECT_EQ(range_of(plain, {0.3, 0.5}, 1000), (EvaluationRange{1, 2}));
    EXPECT_EQ(range_of(plain, {{}, 0.01}, 1000).size(), 0U);
    // a run starts with a whole step, and may end within one
    const auto heun = evaluations_at({{0, 901}, {0, 601}, {1, 601}, {1, 301}, {2, 301}});
    EXPECT_EQ(range_of(heun, {0.5, {}}, 1000), (EvaluationRange{2, 5}));
    EXPECT_EQ(range_of(heun, {{}, 0.5}, 1000), (EvaluationRange{0, 3}));
}

TEST(Stages, ADenoiserRunsDownToItsTimestep) {
    const auto all = evaluations_at({{0, 901}, {1, 601}, {2, 301}, {3, 1}});
    EXPECT_THAT(stages_of(all, {0, 4}, {601, 0}), ElementsAre(Stage{0, {0, 2}}, Stage{1, {2, 4}}));
    EXPECT_THAT(stages_of(all, {0, 4}, {0}), ElementsAre(Stage{0, {0, 4}}));
    EXPECT_THAT(stages_of(all, {2, 4}, {601, 0}), ElementsAre(Stage{1, {2, 4}}));
    EXPECT_THAT(stages_of(all, {0, 1}, {601, 0}), ElementsAre(Stage{0, {0, 1}}));
    const auto own = own_evaluations(all, {2, 4});
    EXPECT_EQ(own.front().step, 0);
    EXPECT_EQ(own.back().step, 1);
    EXPECT_EQ(own.front().timestep, 301);
}

TEST(Stages, TheLoopMakesARangeAndCallsBeforeAndAfterSteps) {
    const auto scheduler = make_scheduler("heun", {{"_class_name", "HeunDiscreteScheduler"}}, "test");
    std::vector<std::string> calls;
    SamplingHooks hooks;
    hooks.predict = [&](std::size_t e, const Tensor& input) {
        calls.push_back(fmt::format("e{}", e));
        return input.clone();
    };
    hooks.before_step = [&](const SampledStep& step, Tensor& latents) {
        calls.push_back(fmt::format("before {} [{}, {})", step.step, step.first, step.end));
        latents.span<float>()[0] = 7;
    };
    hooks.after_step = [&](const SampledStep& step, Tensor&) {
        calls.push_back(fmt::format("after {}", step.step));
        return true;
    };
    const auto sampler = scheduler->start(4);  // 7 evaluations
    sample(*sampler, Tensor(DType::f32, {1, 1, 2, 2}), nullptr, hooks, {2, 5});
    EXPECT_THAT(calls,
                ElementsAre("before 1 [2, 4)", "e2", "e3", "after 1", "before 2 [4, 5)", "e4", "after 2"));
    EXPECT_THROW(sampler->begin_at(3), Error);  // it is at 5
}

/// Takes an entry's own steps down.
cachify::Config counted(const char* filter, std::vector<int>& steps) {
    return {{filter, [&steps](int step) {
                 steps.push_back(step);
                 return step % 2 != 0;
             }}};
}

GenerateOptions call() {
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = kSteps;
    options.guidance_mode = GuidanceMode::batched;
    options.decode = false;
    return options;
}

std::vector<int> steps_of(const RunReport& report) {
    std::vector<int> steps;
    for (const StepInfo& step : report.steps) steps.push_back(step.step);
    return steps;
}

TEST(Stages, ARunInTwoPartsIsTheWholeOne) {
    const auto pipe = open_fixture("tiny-sdxl", "reference");
    for (const char* scheduler : {"", "heun", "ddim"}) {
        GenerateOptions whole = call(), first = call(), second = call();
        whole.scheduler = first.scheduler = second.scheduler = scheduler;
        first.denoising_end = second.denoising_start = 0.6;
        const auto begun = pipe(first);
        second.start_latents = begun.latents;
        const auto ended = pipe(second);
        EXPECT_FALSE(same_bits(begun.latents, ended.latents));
        if (std::string_view(scheduler) == "heun") continue;  // its parts overlap, as in diffusers
        EXPECT_TRUE(same_bits(ended.latents, pipe(whole).latents)) << scheduler;
        EXPECT_THAT(steps_of(begun.report), ElementsAre(0, 1, 2, 3, 4, 5));
        EXPECT_THAT(steps_of(ended.report), ElementsAre(6, 7, 8, 9));
        EXPECT_EQ(ended.report.steps.front().num_steps, kSteps);
    }
}

TEST(Stages, ALaterStartCountsItsOwnStepsForReuse) {
    const auto pipe = open_fixture("tiny-sdxl", "reference");
    GenerateOptions options = call();
    options.denoising_end = 0.7;
    const Tensor begun = pipe(options).latents;
    options.denoising_end.reset();
    options.denoising_start = 0.7;
    options.start_latents = begun;
    std::vector<int> steps;
    options.reuse = Reuse(counted("mid_block", steps));
    const auto report = pipe(options).report;
    EXPECT_THAT(steps, ElementsAre(0, 1, 2));
    ASSERT_THAT(steps_of(report), ElementsAre(7, 8, 9));
    EXPECT_FALSE(report.steps[0].reused);
    EXPECT_TRUE(report.steps[1].reused);
    EXPECT_FALSE(report.steps[2].reused);
    EXPECT_NEAR(report.flops_full, 3.0 / kSteps * pipe(call()).report.flops_full, 1);
}

TEST(Stages, RefusesWhatHasNoPart) {
    const auto pipe = open_fixture("tiny-sdxl", "reference");
    const auto error_with = [&](const Pipeline& of, auto&& change) {
        auto options = call();
        change(options);
        return error_of([&] { of(options); });
    };
    const Tensor latents(DType::f32, {1, 4, 8, 8});
    EXPECT_THAT(error_with(pipe, [](auto& o) { o.denoising_end = 1.5; }), HasSubstr("denoising_end is 1.5"));
    EXPECT_THAT(error_with(pipe, [](auto& o) { o.denoising_end = 0.001; }), HasSubstr("10 steps have none"));
    EXPECT_THAT(error_with(pipe, [](auto& o) { o.denoising_start = 0.5; }), HasSubstr("no start_latents"));
    EXPECT_THAT(error_with(pipe, [&](auto& o) { o.start_latents = latents; }),
                HasSubstr("no denoising_start"));
    EXPECT_THAT(error_with(pipe,
                           [&](auto& o) {
                               o.start_latents = latents;
                               o.denoising_start = 0.5;
                               o.denoising_end = 0.4;
                           }),
                HasSubstr("the start before the end"));
    EXPECT_THAT(error_with(pipe,
                           [&](auto& o) {
                               o.start_latents = latents;
                               o.denoising_start = 0.5;
                               o.width = 128;
                           }),
                HasSubstr("start_latents are of 64 pixels"));
    EXPECT_THAT(error_with(pipe,
                           [&](auto& o) {
                               o.start_latents = latents;
                               o.denoising_start = 0.5;
                               o.scheduler = "pndm";
                           }),
                HasSubstr("PNDMScheduler cannot start"));
    EXPECT_THAT(error_with(pipe, [](auto& o) { o.aesthetic_score = 5; }),
                HasSubstr("takes no aesthetic score"));
    const auto other = open_fixture("tiny-sd", "reference");
    EXPECT_THAT(error_with(other, [](auto& o) { o.denoising_end = 0.5; }),
                HasSubstr("denoising_end is 0.5, but StableDiffusionPipeline"));
    const auto refiner = open_fixture("tiny-sdxl-refiner", "reference");
    EXPECT_THAT(error_with(refiner, [](auto&) {}), HasSubstr("a refiner goes on from latents"));
}

/// A folder with tiny-sdxl's parts and a second UNet: the weights are larger by a hundredth, and its
/// configuration has another activation and other heads. As "unet_2" beside the first, or in its place.
class TwoUNets {
  public:
    TwoUNets() {
        const auto fixture = std::filesystem::path(REPRISE_FIXTURES) / "pipelines/tiny-sdxl";
        for (const auto& folder : {both(), second()}) {
            std::filesystem::copy(fixture, folder, std::filesystem::copy_options::recursive);
            const auto unet = folder / (folder == both() ? "unet_2" : "unet");
            std::filesystem::create_directories(unet);
            Json config = load_json(fixture / "unet/config.json");
            config["act_fn"] = "gelu";
            config["attention_head_dim"] = {2, 2, 2};
            std::ofstream(unet / "config.json") << config;
            const SafetensorsFile weights(fixture / "unet/diffusion_pytorch_model.safetensors");
            std::vector<std::pair<std::string, Tensor>> altered;
            for (const auto& name : weights.names()) {
                Tensor tensor = weights.find(name)->to(DType::f32).clone();
                for (float& value : tensor.span<float>()) value *= 1.01F;
                altered.emplace_back(name, tensor);
            }
            write_safetensors(unet / "diffusion_pytorch_model.safetensors", altered);
        }
        Json index = load_json(both() / "model_index.json");
        index["unet_2"] = {"diffusers", "UNet2DConditionModel"};
        std::ofstream(both() / "model_index.json") << index;
    }

    std::filesystem::path both() const { return folder_.path() / "both"; }
    std::filesystem::path second() const { return folder_.path() / "second"; }

  private:
    test::TempFolder folder_;
};

LoadOptions on_reference() {
    LoadOptions options;
    options.backend = "reference";
    options.precision = DType::f32;
    return options;
}

PipelineParts parts_of(const std::filesystem::path& path, const Engine& engine, double boundary) {
    PipelineParts parts{std::make_shared<ModelFolder>(path), on_reference(), engine, {}};
    for (const char* name : {"unet", "unet_2"})
        parts.denoisers.push_back(
            {name, std::make_unique<GuidedDenoiser>(
                       "UNet2DConditionModel",
                       models::make_denoiser("UNet2DConditionModel", parts.source->config(name)),
                       in_precision(parts.source->weights(name), DType::f32), engine)});
    parts.denoisers.front().down_to = boundary;
    return parts;
}

/// A pipeline of two denoisers, which encodes as that of the first.
class TwoStages final : public DiffusionPipeline {
  public:
    TwoStages(const TwoUNets& folders, double boundary)
        : TwoStages(folders.both(), open_pipeline(folders.both(), on_reference()), boundary) {}

    RunShape shape(const GenerateOptions& options) const override { return first_->shape(options); }
    Ingredients ingredients(const GenerateOptions& options) const override {
        Ingredients result = first_->ingredients(options);
        result.ahead = outlook(options);
        return result;
    }
    std::vector<Image> decode(const Tensor& latents, const GenerateOptions& options) const override {
        return first_->decode(latents, options);
    }
    PromptEmbeddings encode_prompt(const GenerateOptions& options) const override {
        return first_->encode_prompt(options);
    }
    bool honours(options::About about) const override { return first_->honours(about); }

  private:
    TwoStages(const std::filesystem::path& path, std::unique_ptr<DiffusionPipeline> first, double boundary)
        : DiffusionPipeline(parts_of(path, first->engine(), boundary)), first_(std::move(first)) {}
    void check(const GenerateOptions& /*options*/) const override {}

    std::unique_ptr<DiffusionPipeline> first_;
};

class TwoDenoisers : public ::testing::Test {
  protected:
    static constexpr double kShare = 0.6;  // of the way, six steps
    static constexpr double kBoundary = 400;

    TwoUNets folders_;
    TwoStages pipe_{folders_, kBoundary};
};

TEST_F(TwoDenoisers, AreTheirPartsOneAfterTheOther) {
    const auto first = open_fixture("tiny-sdxl", "reference");
    const auto second = Pipeline::from_pretrained(folders_.second(), on_reference());
    std::vector<int> steps, steps_2;
    Reuse by_name("off");
    by_name.of["unet"] = Reuse(counted("mid_block", steps));
    by_name.of["unet_2"] = Reuse(counted("down_blocks.1", steps_2));
    for (const bool reuses : {false, true}) {
        GenerateOptions both = call(), begin = call(), go_on = call();
        begin.denoising_end = go_on.denoising_start = kShare;
        if (reuses) {
            both.reuse = by_name;
            begin.reuse = by_name.of["unet"];
            go_on.reuse = by_name.of["unet_2"];
        }
        const auto output = pipe_(both);
        if (reuses) {
            EXPECT_THAT(steps, ElementsAre(0, 1, 2, 3, 4, 5));
            EXPECT_THAT(steps_2, ElementsAre(0, 1, 2, 3));
        }
        const auto begun = first(begin);
        go_on.start_latents = begun.latents;
        const auto ended = second(go_on);
        EXPECT_TRUE(same_bits(output.latents, ended.latents)) << reuses;

        const RunReport& report = output.report;
        EXPECT_THAT(steps_of(report), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
        ASSERT_EQ(report.stages.size(), 2U);
        EXPECT_EQ(report.stages[0].denoiser, "unet");
        EXPECT_EQ(report.stages[1].denoiser, "unet_2");
        EXPECT_EQ(report.stages[1].first_step, 6);
        EXPECT_EQ(report.stages[1].summary, ended.report.summary);
        EXPECT_EQ(report.summary, "unet: " + begun.report.summary + "; unet_2: " + ended.report.summary);
        EXPECT_EQ(report.reuse, reuses);
        EXPECT_DOUBLE_EQ(report.flops_run, begun.report.flops_run + ended.report.flops_run);
    }
}

// A sampler that remembers goes on over the boundary, which may be within a step.
TEST_F(TwoDenoisers, AreRunsInOneLoop) {
    for (const char* scheduler : {"dpm++2m", "heun"}) {
        GenerateOptions options = call();
        options.scheduler = scheduler;
        auto start = pipe_.ingredients(options);
        const auto sampler = start.scheduler->start(kSteps);
        const auto& evaluations = sampler->evaluations();
        std::size_t boundary = 0;
        while (evaluations[boundary].timestep >= kBoundary) ++boundary;
        ASSERT_THAT(start.ahead.stages,
                    ElementsAre(Stage{0, {0, boundary}}, Stage{1, {boundary, evaluations.size()}}));
        std::vector<DenoiserRun> runs;
        for (std::size_t stage = 0; stage < 2; ++stage)
            runs.push_back(
                pipe_.denoiser(stage).start(pipe_.request(options, start.ahead, stage), start.pictures));
        Tensor latents = start.first_latents(*sampler);
        for (std::size_t e = 0; e < evaluations.size(); ++e) {
            const int at = static_cast<int>(e);
            const auto halves = runs[e < boundary ? 0 : 1].evaluate(sampler->scale_model_input(latents, at));
            latents = sampler->step(start.guide(halves), at, latents, nullptr);
        }
        const auto output = pipe_(options);
        EXPECT_TRUE(same_bits(output.latents, latents)) << scheduler;
        EXPECT_EQ(output.report.steps.size(), static_cast<std::size_t>(kSteps));
    }
}

TEST_F(TwoDenoisers, DecideEachForItself) {
    const auto decided = cachify::parse_config(
        R"([{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "True",
             "decide": {"probe": "latents", "threshold": 1000, "cool_down": 1}}])",
        "test");
    GenerateOptions options = call();
    options.reuse = Reuse(decided);  // what is not named has the call's own
    options.reuse->of["unet"] = Reuse("off");
    const RunReport report = pipe_(options).report;
    ASSERT_EQ(report.stages.size(), 2U);
    EXPECT_TRUE(report.decisions.empty());
    EXPECT_TRUE(report.stages[0].decisions.empty());
    ASSERT_EQ(report.stages[1].decisions.size(), 1U);
    for (const StepInfo& step : report.steps)
        EXPECT_EQ(step.reused, std::count(report.stages[1].decisions[0].begin(),
                                          report.stages[1].decisions[0].end(), step.step - 6) > 0);
    EXPECT_FALSE(report.stages[1].decisions[0].empty());
}

TEST_F(TwoDenoisers, RefuseReuseOfWhatIsNotThere) {
    GenerateOptions options = call();
    int steps = 0;
    options.callback_on_step_end = [&](StepInfo&) { return ++steps > 0; };
    options.reuse = Reuse();
    options.reuse->of["unet_3"] = Reuse("auto");
    EXPECT_THAT(error_of([&] { pipe_(options); }), HasSubstr("'unet_3'; this pipeline has unet, unet_2"));
    options.reuse = Reuse();
    options.reuse->of["unet"].of["unet_2"] = Reuse();
    EXPECT_THAT(error_of([&] { pipe_(options); }), HasSubstr("by denoiser once more"));
    options.reuse = Reuse();
    options.reuse->of["unet_2"] = Reuse(cachify::Config{{"nothing.*", "step % 2"}});
    EXPECT_THAT(error_of([&] { pipe_(options); }), HasSubstr("matches no module"));
    EXPECT_EQ(steps, 0);  // before anything has run
}

TEST(Stages, OneDenoiserMayBeNamedToo) {
    auto pipe = open_fixture("tiny-sdxl", "reference");
    GenerateOptions options = call();
    options.reuse = Reuse(cachify::SDXL_DEFAULT_CONFIG);
    const Tensor wanted = pipe(options).latents;
    options.reuse = Reuse("off");
    options.reuse->of["unet"] = Reuse(cachify::SDXL_DEFAULT_CONFIG);
    EXPECT_TRUE(same_bits(pipe(options).latents, wanted));
    cachify::prepare(pipe, options);
    EXPECT_TRUE(same_bits(pipe(call()).latents, wanted));
    cachify::disable(pipe);
    EXPECT_FALSE(pipe(call()).report.reuse);
    options.reuse->of["transformer"] = Reuse("auto");
    EXPECT_THAT(error_of([&] { cachify::prepare(pipe, options); }), HasSubstr("this pipeline has unet"));
}

// The latents of our own base, refined, against diffusers' whole way.
TEST(Refiner, GoesOnFromTheBase) {
    const auto base = open_fixture("tiny-sdxl"), refiner = open_fixture("tiny-sdxl-refiner");
    GenerateOptions options = call();
    options.seed = 42;
    options.denoising_end = 0.8;
    GenerateOptions refine = options;
    refine.start_latents = base(options).latents;
    std::swap(refine.denoising_start, refine.denoising_end);
    refine.decode = true;
    const auto refined = refiner(refine);
    const auto expected =
        SafetensorsFile(std::filesystem::path(REPRISE_FIXTURES) / "pipelines/refiner_runs.safetensors")
            .find("refined");
    EXPECT_LT(testing::largest_difference(refined.latents, *expected), 1e-3);
    EXPECT_EQ(refined.images.at(0).width(), 64);
    EXPECT_THAT(steps_of(refined.report), ElementsAre(8, 9));
}

}  // namespace
}  // namespace reprise::pipelines
