// What a denoiser is given: once for a picture and half of guidance, or at each step; at the length of its
// text.
#include <gtest/gtest.h>

#include <atomic>

#include "cachify/controlled.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/frames.h"
#include "pipelines/guided_denoiser.h"
#include "pipelines/hooked_backend.h"
#include "pipelines/support.h"

namespace reprise::pipelines {
namespace {

using cachify::testing::ControlledDenoiser;
using reprise::testing::HookedBackend;
using reprise::testing::same_bits;

constexpr int kSteps = 5;

/// A denoiser of the tests, over the reference backend, that counts what is compiled and made.
struct Controlled {
    Controlled() {
        backend->set_compiling([this](const graph::Graph&) { ++compiled; });
        auto made = std::make_unique<ControlledDenoiser>();
        model = made.get();
        denoiser = std::make_unique<GuidedDenoiser>("Controlled", std::move(made),
                                                    std::make_shared<MapWeights>(MapWeights::Map{}),
                                                    backends::Engine{backend, {}});
    }

    std::shared_ptr<HookedBackend> backend = std::make_shared<HookedBackend>();
    std::atomic<int> compiled = 0;
    const ControlledDenoiser* model = nullptr;
    std::unique_ptr<GuidedDenoiser> denoiser;

    /// The last predictions of pictures that are guided so.
    std::vector<Tensor> run(const std::vector<Branches>& pictures, const cachify::Config& config = {}) const {
        RunRequest request;
        request.shape = {2, 2, 3, 0, pictures.front().size() == 2, GuidanceMode::split};
        for (int step = 0; step < kSteps; ++step)
            request.evaluations.push_back({step, 900.0F - 100.0F * static_cast<float>(step)});
        if (!config.empty()) request.ways.config = config;
        DenoiserRun run = denoiser->start(request, pictures);
        std::vector<Tensor> predictions;
        for (int step = 0; step < kSteps; ++step) {
            Tensor sample(DType::f32, {static_cast<std::int64_t>(pictures.size()), 2, 2, 2});
            Generator generator(static_cast<std::uint64_t>(step));
            const Tensor one = generator.randn({1, 2, 2, 2});
            auto out = sample.span<float>().begin();
            for (std::size_t p = 0; p < pictures.size(); ++p)
                out = std::copy(one.span<float>().begin(), one.span<float>().end(), out);
            predictions = run.evaluate(sample);
        }
        return predictions;
    }
};

models::Conditioning guided(std::uint64_t seed, float scale, std::int64_t tokens = 3) {
    Generator generator(seed);
    models::Conditioning result;
    result[models::kText] = generator.randn({1, tokens, cachify::testing::kControlledWidth});
    result["control_image"] = Generator(9).randn({1, 2, 2, 2});
    result["control_scale"] = Tensor(DType::f32, {1});
    result["control_scale"].span<float>()[0] = scale;
    return result;
}

TEST(DenoiserInputs, FixedOnesAreMadeOnceForAPictureAndHalf) {
    Controlled controlled;
    controlled.run(
        {{guided(1, 1), guided(2, 1)}, {guided(1, 1), guided(3, 1)}, {guided(1, 1), guided(4, 1)}});
    EXPECT_EQ(controlled.model->fixed_inputs_made, 3 * 2);
    EXPECT_EQ(controlled.model->step_inputs_made, 3 * 2 * kSteps);
}

TEST(DenoiserInputs, AnotherStrengthCompilesNothingAgain) {
    Controlled controlled;
    cachify::Entry entry{"down_blocks.*", "step % 2 != 0"};
    entry.part = "control.0";
    const auto one = controlled.run({{guided(1, 1.0F)}}, {entry});
    const int compiled = controlled.compiled;
    EXPECT_GT(compiled, 0);
    const auto half = controlled.run({{guided(1, 0.5F)}}, {entry});
    EXPECT_FALSE(same_bits(one.front(), half.front()));
    EXPECT_EQ(controlled.compiled, compiled);
}

TEST(DenoiserInputs, APictureRunsAtTheLengthOfItsOwnText) {
    Controlled controlled;
    const Branches brief = {guided(1, 1, 2), guided(2, 1, 2)}, lengthy = {guided(3, 1, 6), guided(4, 1, 6)};
    const auto alone_brief = controlled.run({brief}), alone_lengthy = controlled.run({lengthy});
    const auto together = controlled.run({brief, lengthy, brief});
    for (std::size_t half = 0; half < 2; ++half) {
        EXPECT_TRUE(same_bits(together[half].rows(0, 1), alone_brief[half]));
        EXPECT_TRUE(same_bits(together[half].rows(1, 2), alone_lengthy[half]));
        EXPECT_TRUE(same_bits(together[half].rows(2, 3), alone_brief[half]));
    }
    EXPECT_FALSE(same_bits(alone_brief[0], alone_lengthy[0]));
}

TEST(DenoiserInputs, OfEveryModelHaveTheLatentsThatItsTraitsSay) {
    for (const char* name : {"tiny-sdxl", "tiny-sd", "tiny-sd3", "tiny-pixart-ms", "tiny-svd"}) {
        const auto& pipe = reprise::testing::shared_fixture(name).implementation();
        const auto& model = pipe.denoiser().model();
        const RunShape any = pipe.any_shape();
        const models::DenoiserShape shape = any.of_graph();
        const auto graph = model.build(shape, DType::f32, nullptr);
        const auto declared = model.inputs(shape);
        ASSERT_EQ(declared.size(), graph.inputs.size()) << name;
        for (std::size_t i = 0; i < declared.size(); ++i) {
            EXPECT_EQ(graph.input(i).name, declared[i].name);
            EXPECT_EQ(graph.input(i).shape, declared[i].shape) << name << " " << declared[i].name;
            EXPECT_EQ(graph.input(i).when, declared[i].when);
        }
        EXPECT_EQ(graph.input(graph.latents_index()).shape, model.traits().latents(shape)) << name;
        EXPECT_EQ(model.traits().place_of(models::Axis::pictures), 0);
    }
}

TEST(Frames, LieWhereTheDenoiserSays) {
    std::vector<float> values(2 * 3 * 2);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    // (1, C = 2, F = 3, pixels = 2), as Wan's latents lie
    const Tensor latents = Tensor::from({1, 2, 3, 2}, values);
    EXPECT_EQ(elements_after(latents.shape(), 2), 2U);
    const Tensor first = frames_first(latents, 2);
    EXPECT_EQ(first.shape(), (Shape{3, 2, 2}));
    EXPECT_EQ(first.span<float>()[2], 6);  // frame 0, channel 1
    EXPECT_EQ(first.span<float>()[4], 2);  // frame 1, channel 0
    EXPECT_EQ(frames_first(latents.reshaped({1, 3, 2, 2}), 1).span<float>()[4], 4);
    const Tensor shown = for_each_frame(latents.rows(0, 1).reshaped({1, 2, 6}), 3, 2);
    EXPECT_EQ(shown.shape(), (Shape{1, 2, 3, 6}));
    for (std::int64_t frame = 0; frame < 3; ++frame)
        EXPECT_TRUE(same_bits(frames_first(shown, 2).rows(frame, frame + 1).reshaped({1, 2, 6}),
                              latents.reshaped({1, 2, 6})));
}

}  // namespace
}  // namespace reprise::pipelines
