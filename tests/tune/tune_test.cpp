// Tuning whole pipelines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <utility>

#include "files/atomic_file.h"
#include "media/metrics.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"
#include "tune/ladder.h"
#include "tune/pipeline_subject.h"

namespace reprise::tune {
namespace {

using ::testing::HasSubstr;

/// On the reference backend: a search plans and compiles many pieces, and these are so small that compiling
/// them takes longer than to run them in plain loops.
Pipeline open_fixture(const char* folder) {
    return reprise::testing::open_fixture(folder, "reference");
}

GenerateOptions apple() {
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 6;
    options.seed = 42;
    options.guidance_mode = GuidanceMode::split;
    options.decode = false;
    return options;
}

struct Bench {
    explicit Bench(const char* folder)
        : pipe(open_fixture(folder)),
          graph(pipe.implementation().denoiser().structure(pipe.implementation().outlook({}).shape)),
          context{pipe.implementation().denoiser().class_name(), graph},
          choices{path_stores(context).back(),
                  {cachify::Store::Rule::forecast, 1},
                  {cachify::Store::Rule::delta},
                  order()},
          ladder(make_ladder(context, choices, true)) {
        for (const auto& rung : ladder) configs.push_back(rung.config);
    }
    /// The blocks backwards.
    std::vector<int> order() const {
        std::vector<int> blocks;
        const auto outline = cachify::outline_of(context);
        for (auto block = static_cast<int>(outline.in_a_row() ? outline.units.size() : 0); block-- > 0;)
            blocks.push_back(block);
        return blocks;
    }
    int mode(const std::string& name) const {
        for (std::size_t i = 0; i < ladder.size(); ++i)
            if (ladder[i].name == name) return static_cast<int>(i);
        ADD_FAILURE() << name;
        return 0;
    }
    Pipeline pipe;
    graph::Graph graph;
    cachify::PolicyContext context;
    Choices choices;
    std::vector<Rung> ladder;
    std::vector<cachify::Config> configs;
};

// What the search measures is what the configuration does that it writes.
TEST(PipelineSubject, RunsASchedulesConfiguration) {
    for (const char* folder : {"tiny-sdxl", "tiny-pixart", "tiny-sd3"}) {
        SCOPED_TRACE(folder);
        Bench bench(folder);
        const int whole = bench.mode("whole"), path = bench.mode("path 0"), half = bench.mode("half");
        const int both = bench.mode("path 0, half");
        // of a transformer: blocks by themselves beside a path that reuses them as one
        const bool transformer = cachify::outline_of(bench.context).in_a_row();
        const int sparse = transformer ? bench.mode("sparse 1") : path;
        const int sparse_half = transformer ? bench.mode("sparse 1, half") : both;
        const Tensor full = bench.pipe(apple()).latents;
        for (const Modes& modes : {Modes{0, path, 0, whole, 0, half}, Modes{0, 0, path, whole, both, 0},
                                   Modes{0, 0, 0, 0, whole, whole}, Modes{0, half, half, path, 0, both},
                                   Modes{0, sparse, path, 0, sparse_half, sparse}}) {
            Tensor searched;
            {
                PipelineSubject runner(bench.pipe.implementation(), {apple()});
                runner.use(bench.configs, GuidanceMode::split, 1);
                searched = runner.latents(0, modes);
                EXPECT_LT(relative_error(runner.full_latents(0), full), 1e-5);
                EXPECT_NEAR(runner.distance(0, modes), relative_error(searched, runner.full_latents(0)),
                            1e-9);
            }
            const auto config = config_of(bench.graph, bench.ladder, modes);
            cachify::prepare(bench.pipe, 6, cachify::load_config(bench.pipe, [&] {
                                 const auto path_of =
                                     std::filesystem::path(::testing::TempDir()) / "runner-tuned.json";
                                 write_file(path_of, cachify::to_json(config));
                                 return path_of.string();
                             }()));
            const Tensor configured = bench.pipe(apple()).latents;
            EXPECT_LT(relative_error(searched, configured), 1e-4);
            EXPECT_GT(relative_error(searched, full), 1e-4);
            cachify::unprepare(bench.pipe);
        }
    }
}

TEST(PipelineSubject, LeavesOutWhatComesBefore) {
    Bench bench("tiny-sdxl");
    GenerateOptions options = apple();
    options.num_inference_steps = 12;
    for (const char* scheduler : {"", "dpm++2m", "heun"}) {
        SCOPED_TRACE(scheduler);
        options.scheduler = scheduler;
        PipelineSubject runner(bench.pipe.implementation(), {options});
        runner.use(bench.configs, GuidanceMode::split, 1);
        Modes early(12, 0), late(12, 0);
        late[11] = bench.mode("whole");
        const Tensor shortened = runner.latents(0, late);
        // The same after a run that reuses from the start, in other slots.
        early[1] = early[3] = bench.mode("path 0");
        runner.latents(0, early);
        EXPECT_LT(relative_error(runner.latents(0, late), shortened), 1e-7);
        cachify::prepare(bench.pipe, 12, config_of(bench.graph, bench.ladder, late));
        EXPECT_LT(relative_error(bench.pipe(options).latents, shortened), 1e-4);
        cachify::unprepare(bench.pipe);
    }
}

TEST(PipelineSubject, SketchesKeepLengths) {
    Bench bench("tiny-sdxl");
    PipelineSubject runner(bench.pipe.implementation(), {apple()});
    runner.use(bench.configs, GuidanceMode::split, 1);
    const Modes modes = {0, 0, bench.mode("whole"), 0, 0, 0};
    double squares = 0;
    for (const float value : runner.deviation(0, modes)) squares += value * value;
    EXPECT_NEAR(std::sqrt(squares), runner.distance(0, modes), 0.2 * runner.distance(0, modes));
}

TuneOptions small_search() {
    TuneOptions options;
    options.generate = apple();
    options.generate.prompt.clear();
    options.prompts = {"red apple", "a dog"};
    options.pairs = 1;
    options.speedups = {1.6};
    options.trials = 10;
    return options;
}

TEST(Tune, WritesAConfigurationWithItsEvidence) {
    for (const char* folder : {"tiny-sdxl", "tiny-pixart"}) {
        SCOPED_TRACE(folder);
        auto pipe = open_fixture(folder);
        const auto tuned = tune(pipe, small_search());
        ASSERT_EQ(tuned.size(), 1U);
        const auto& figures = tuned[0].evidence.figures;
        EXPECT_GE(figures.at("predicted_speedup"), 1.6);
        EXPECT_DOUBLE_EQ(figures.at("prediction_error"),
                         figures.at("predicted_speedup") / figures.at("measured_speedup") - 1);
        EXPECT_LE(figures.at("distance"), figures.at("distance_before_local_search"));
        EXPECT_EQ(tuned[0].evidence.run.prompts, std::vector<std::string>{"red apple"});
        const std::string json = cachify::to_json(tuned[0].config, tuned[0].evidence);
        const auto evidence = cachify::parse_evidence(json, "t");
        EXPECT_EQ(evidence.model, pipe.implementation().identity());
        EXPECT_EQ(evidence.notes, tuned[0].evidence.notes);

        const auto path = std::filesystem::path(::testing::TempDir()) / "tuned.json";
        write_file(path, json);
        // The figures are those of pictures that the configuration draws: of the pair that it was tuned on,
        // and of the one held out.
        const std::pair<const char*, std::uint64_t> pairs[] = {{"red apple", 0}, {"a dog", 1}};
        for (const auto& [prompt, seed] : pairs) {
            auto options = apple();
            options.prompt = prompt;
            options.seed = seed;
            options.decode = true;
            cachify::prepare(pipe, 6, cachify::load_config(pipe, path.string()));
            const auto reused = pipe(options);
            cachify::unprepare(pipe);
            const auto full = pipe(options);
            const double distance = figures.at(seed == 0 ? "distance" : "distance_held_out");
            EXPECT_GT(distance, 1e-6);
            EXPECT_NEAR(relative_error(reused.latents, full.latents), distance, 1e-3 * distance);
            EXPECT_LT(reused.report.flops_run, reused.report.flops_full / 1.2);
            if (seed == 0) continue;
            EXPECT_NEAR(psnr(reused.images[0], full.images[0]), figures.at("psnr_held_out"), 0.1);
            EXPECT_NEAR(ssim(reused.images[0], full.images[0]), figures.at("ssim_held_out"), 0.01);
        }
        auto other = open_fixture("tiny-sd3");
        EXPECT_THROW(cachify::load_config(other, path.string()), Error);
    }
}

TEST(Tune, GoesOnFromItsStateToTheSameEndOrToAQuality) {
    const auto path = std::filesystem::path(::testing::TempDir()) / "tuning-state.json";
    std::filesystem::remove(path);
    auto pipe = open_fixture("tiny-sdxl");
    auto options = small_search();
    options.state = path;
    int steps = 0;  // of the denoiser: each says ""
    const auto count = [&](std::string_view what) {
        steps += what.empty() ? 1 : 0;
        return true;
    };
    options.progress = [&](std::string_view what) {
        return count(what) && what.find("trial") == std::string_view::npos;
    };
    EXPECT_THROW(tune(pipe, options), Error);
    EXPECT_TRUE(std::filesystem::exists(path));
    const int interrupted = std::exchange(steps, 0);
    options.progress = count;
    const auto first = tune(pipe, options);
    const int went_on = std::exchange(steps, 0);
    const auto again = tune(pipe, options);
    // What was measured is not measured again: at first the trials are left, beside the full result that they
    // are compared with, then nothing of the search.
    EXPECT_GT(interrupted, 100);
    EXPECT_GT(went_on, steps);
    EXPECT_LE(went_on - steps, (static_cast<int>(options.trials) + 1) * 6);
    EXPECT_EQ(first[0].evidence.notes, again[0].evidence.notes);
    EXPECT_EQ(first[0].evidence.figures.at("distance"), again[0].evidence.figures.at("distance"));
    EXPECT_EQ(first[0].evidence.figures.at("predicted_speedup"),
              again[0].evidence.figures.at("predicted_speedup"));

    const auto refusal = [&](Pipeline& other, const TuneOptions& with) {
        try {
            tune(other, with);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    auto others = options;
    others.generate.num_inference_steps = 7;
    EXPECT_THAT(refusal(pipe, others), HasSubstr("measured with other settings"));
    others = options;
    others.generate.negative_prompt = "blue";
    EXPECT_THAT(refusal(pipe, others), HasSubstr("measured with other settings"));
    auto other = open_fixture("tiny-sd");
    EXPECT_THAT(refusal(other, options), HasSubstr("measured on another denoiser"));

    // The fastest that reaches a quality: the pictures that it was tuned on are as near as was asked.
    options.speedups.clear();
    auto picture = apple();
    picture.seed = 0;
    picture.decode = true;
    const Image full = pipe(picture).images[0];
    double before = HUGE_VAL;
    for (const double least : {20.0, 35.0}) {
        options.quality.psnr = least;
        const auto tuned = tune(pipe, options);
        ASSERT_EQ(tuned.size(), 1U);
        EXPECT_GE(tuned[0].speedup, 1.25);
        EXPECT_GE(tuned[0].evidence.figures.at("predicted_speedup"), tuned[0].speedup * (1 - 1e-9));
        cachify::prepare(pipe, 6, tuned[0].config);
        EXPECT_GE(psnr(pipe(picture).images[0], full), least - 0.1);
        cachify::unprepare(pipe);
        EXPECT_LE(tuned[0].speedup, before);  // more quality is no faster
        before = tuned[0].speedup;
    }
    options.quality.psnr = 98;
    EXPECT_THAT(refusal(pipe, options),
                HasSubstr("even 1.25 times as fast the quality asked for is not reached"));
    std::filesystem::remove(path);
}

TEST(Tune, RefusesWhatItCannotDo) {
    auto pipe = open_fixture("tiny-sdxl");
    const std::pair<std::function<void(TuneOptions&)>, const char*> cases[] = {
        {[](auto& o) { o.generate.scheduler = "euler_a"; }, "adds noise at every step"},
        {[](auto& o) { o.generate.num_inference_steps = 3; }, "3 steps; tuning needs at least 4"},
        {[](auto& o) {
             o.speedups = {1.6, 0.5};
         },
         "a speedup of 0.5"},
        {[](auto& o) {
             o.speedups = {1.6, NAN};
         },
         "a speedup of nan"},
        {[](auto& o) {
             o.speedups = {1.6, 1000};
         },
         "no schedule is 1000"},
        {[](auto& o) { o.quality.ssim = 2; }, "an SSIM of 2"},
        {[](auto& o) { o.quality.psnr = NAN; }, "a PSNR of nan"},
        {[](auto& o) { o.minutes = -1; }, "-1 minutes"},
        {[](auto& o) { o.minutes = NAN; }, "minutes is nan"},
        {[](auto& o) { o.minutes = HUGE_VAL; }, "minutes is inf"},
        {[](auto& o) { o.generate.guidance_scale = NAN; }, "guidance_scale is nan"},
        {[](auto& o) { o.generate.num_images_per_prompt = 2; }, "2 images per prompt"},
    };
    for (const auto& [change, expected] : cases) {
        auto options = small_search();
        change(options);
        try {
            tune(pipe, options);
            FAIL() << expected;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            EXPECT_THAT(error.what(), HasSubstr(expected));
        }
    }
}

}  // namespace
}  // namespace reprise::tune
