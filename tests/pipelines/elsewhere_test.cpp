// Whole runs on a backend with memory of its own, which finishes late: bit for bit the reference backend's.
#include <gtest/gtest.h>

#include <algorithm>

#include "backends/elsewhere_backend.h"
#include "pipelines/registry.h"
#include "pipelines/support.h"
#include "reprise/error.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

using reprise::testing::ElsewhereBackend;
using reprise::testing::same_bits;

std::unique_ptr<pipelines::DiffusionPipeline> open(const char* fixture,
                                                   std::shared_ptr<backends::Backend> backend) {
    LoadOptions options;
    options.precision = options.vae_precision = DType::f32;
    return pipelines::open_pipeline(std::filesystem::path(REPRISE_FIXTURES) / "pipelines" / fixture, options,
                                    false, std::move(backend));
}

/// The same folder on both.
struct Both {
    explicit Both(const char* fixture)
        : here(open(fixture, backends::create("reference"))), there(open(fixture, elsewhere)) {}
    std::shared_ptr<ElsewhereBackend> elsewhere = std::make_shared<ElsewhereBackend>();
    std::unique_ptr<pipelines::DiffusionPipeline> here, there;
};

GenerateOptions call(const Reuse& reuse, GuidanceMode mode = GuidanceMode::split, int images = 1) {
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 6;
    options.guidance_mode = mode;
    options.num_images_per_prompt = images;
    options.decode = false;
    options.reuse = reuse;
    return options;
}

cachify::Config stored(const char* pattern, cachify::Store store) {
    cachify::Entry entry{cachify::ModuleFilter(pattern), cachify::StepFunction("step % 2 != 0 and step > 2")};
    entry.store = std::move(store);
    return {entry};
}

cachify::Config decided(const char* block) {
    cachify::Decision decision;
    decision.first = decision.last = block;
    decision.threshold = 0.3;
    cachify::Entry entry{cachify::ModuleFilter("transformer_blocks.[2-7]"), cachify::StepFunction("True")};
    entry.store.rule = cachify::Store::Rule::delta;
    entry.decide = decision;
    return {entry};
}

void expect_equal(const Both& both, const GenerateOptions& options) {
    const auto expected = (*both.here)(options), found = (*both.there)(options);
    EXPECT_TRUE(same_bits(found.latents, expected.latents));
    EXPECT_EQ(found.report.decisions, expected.report.decisions);
    for (const auto& steps : found.report.decisions) EXPECT_FALSE(steps.empty());
    EXPECT_EQ(found.report.kept_bytes, expected.report.kept_bytes);
    ASSERT_EQ(found.images.size(), expected.images.size());
    for (std::size_t i = 0; i < found.images.size(); ++i)
        EXPECT_TRUE(std::ranges::equal(found.images[i].pixels(), expected.images[i].pixels()));
}

TEST(ElsewhereThreads, AUNetReusesWhatIsNotInTheHostsMemory) {
    using Rule = cachify::Store::Rule;
    const Both both("tiny-sdxl");
    cachify::Store linear{Rule::linear};
    linear.weights = {{2, -1}};
    cachify::Store half{Rule::output};
    half.kept_in = DType::bf16;
    for (const cachify::Config& config :
         {cachify::SDXL_DEFAULT_CONFIG, stored("mid_block", {Rule::mean}), stored("*_blocks.*", linear),
          stored("mid_block", half), stored("*_blocks.*", {Rule::forecast, 2})}) {
        SCOPED_TRACE(cachify::to_json(config));
        expect_equal(both, call(config));
        expect_equal(both, call(config, GuidanceMode::split, 3));
    }
    expect_equal(both, call(cachify::SDXL_DEFAULT_CONFIG, GuidanceMode::batched, 2));
    auto with_picture = call(Reuse("deepcache:interval=2,branch=0"));
    with_picture.decode = true;
    expect_equal(both, with_picture);
}

TEST(ElsewhereThreads, HalvesOfGuidanceAreReused) {
    const Both both("tiny-sdxl");
    for (const char* policy : {"guidance", "guidance:interval=3", "tgate:gate=3"}) {
        SCOPED_TRACE(policy);
        expect_equal(both, call(policy, GuidanceMode::split, 2));
    }
}

TEST(ElsewhereThreads, DecisionsWhileRunningAreTheSame) {
    const Both both("tiny-pixart");
    for (const auto mode : {GuidanceMode::split, GuidanceMode::batched})
        for (const int images : {1, 2}) {
            expect_equal(both, call(decided("transformer_blocks.0"), mode, images));
            expect_equal(both, call("fbcache:threshold=1", mode, images));
            expect_equal(both, call("easycache:threshold=5", mode, images));
        }
}

TEST(ElsewhereThreads, AVideoIsTheSame) {
    const Both both("tiny-svd");
    auto options = call(cachify::SVD_DEFAULT_CONFIG);
    options.prompt.clear();
    options.image = Image(32, 32, std::vector<std::uint8_t>(32 * 32 * 3, 100));
    options.width = options.height = 32;
    options.num_inference_steps = 3;
    options.video.num_frames = 2;
    options.decode = true;
    expect_equal(both, options);
}

/// What a watch was shown, in order.
std::vector<Tensor> watched(pipelines::DiffusionPipeline& pipe, const GenerateOptions& options) {
    std::vector<Tensor> seen;
    const auto add = [&](const Tensor& tensor) {
        if (tensor.defined()) seen.push_back(tensor.clone());
    };
    const pipelines::Watch watch{[](const graph::Module& module) { return module.kind == ModuleKind::block; },
                                 [&](const pipelines::Sight& sight) {
                                     for (const auto& module : sight.modules) {
                                         for (const Tensor& output : module.outputs) add(output);
                                         add(module.input);
                                         add(module.output);
                                     }
                                     add(sight.modulated);
                                     add(sight.sample);
                                     add(sight.prediction);
                                 }};
    pipe(options, &watch);
    return seen;
}

TEST(ElsewhereThreads, AWatchSeesTheSame) {
    const Both both("tiny-pixart");
    GenerateOptions options = call(Reuse());
    options.num_inference_steps = 3;
    const auto expected = watched(*both.here, options), found = watched(*both.there, options);
    ASSERT_GT(expected.size(), 100U);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(same_bits(found[i], expected[i])) << i;
}

/// All pictures and halves of a step are queued before the host looks at one.
TEST(ElsewhereThreads, AStepWaitsOnce) {
    const Both both("tiny-sdxl");
    auto options = call(cachify::SDXL_DEFAULT_CONFIG, GuidanceMode::split, 3);
    options.num_inference_steps = 20;
    (*both.there)(options);
    EXPECT_EQ(both.elsewhere->most_waits(), 20);
}

/// NaN is found in a step's prediction: no slot is looked at by itself.
TEST(ElsewhereThreads, AValueThatIsNotFiniteIsAnError) {
    const Both both("tiny-sdxl");
    auto options = call(cachify::SDXL_DEFAULT_CONFIG);
    options.guidance_scale = 1e38;
    std::string here, there;
    try {
        (*both.here)(options);
    } catch (const Error& error) {
        here = error.what();
    }
    try {
        (*both.there)(options);
    } catch (const Error& error) {
        there = error.what();
    }
    EXPECT_NE(here, "");
    EXPECT_NE(there, "");
}

}  // namespace
}  // namespace reprise
