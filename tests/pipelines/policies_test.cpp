// Policies on whole pipelines: what equals what, and what they run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "media/metrics.h"
#include "pipelines/registry.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

using reprise::testing::shared_fixture;
using ::testing::ElementsAre;

const std::filesystem::path kPipelines = std::filesystem::path(REPRISE_FIXTURES) / "pipelines";

GenerateOptions apple(double guidance_scale = 5) {
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 6;
    options.guidance_scale = guidance_scale;
    options.seed = 42;
    options.guidance_mode = GuidanceMode::split;
    options.decode = false;
    return options;
}

Tensor latents(Pipeline& pipe, const cachify::Config& config) {
    cachify::prepare(pipe, 6, config);
    return pipe(apple()).latents;
}

/// Modules under these prefixes that compute at step 1, with whether the plan says so.
std::set<std::string> running_at_step_1(const char* policy) {
    LoadOptions load;
    load.precision = DType::f32;
    const auto pipe = pipelines::open_pipeline(kPipelines / "tiny-sdxl", load, true);
    auto& public_pipe = shared_fixture("tiny-sdxl");
    GenerateOptions options = apple();
    options.reuse = cachify::make_policy(public_pipe, policy);
    const auto plan = pipe->denoiser().plan(pipe->request(options, pipe->outlook(options)));
    std::size_t x = 0;
    while (plan->analysis.sequence[x].step != 1) ++x;
    std::set<std::string> names;
    for (std::size_t n = 0; n < plan->extended.graph.nodes.size(); ++n) {
        if (!plan->analysis.executions[x].must[n]) continue;
        auto module = plan->extended.graph.nodes[n].module;
        while (module > 0) {
            const auto& entry = plan->extended.graph.modules[static_cast<std::size_t>(module)];
            if (entry.kind == ModuleKind::resnet || entry.kind == ModuleKind::sampler)
                names.insert(entry.name);
            module = entry.parent;
        }
    }
    return names;
}

// horseee/DeepCache on SDXL's blocks, of which tiny-sdxl has the numbers: one more layer with each branch.
TEST(DeepCachePaths, AreThePublicCodes) {
    EXPECT_THAT(running_at_step_1("deepcache:interval=2,branch=0"), ElementsAre("up_blocks.2.resnets.1"));
    EXPECT_THAT(running_at_step_1("deepcache:interval=2,branch=1"),
                ElementsAre("down_blocks.0.resnets.0", "up_blocks.2.resnets.0", "up_blocks.2.resnets.1"));
    EXPECT_THAT(
        running_at_step_1("deepcache:interval=2,branch=2"),
        ElementsAre("down_blocks.0.downsamplers.0", "down_blocks.0.resnets.0", "up_blocks.1.resnets.1",
                    "up_blocks.1.upsamplers.0", "up_blocks.2.resnets.0", "up_blocks.2.resnets.1"));
}

TEST(GuidanceAsReuse, DroppingOneHalfIsTheOtherAlone) {
    auto& pipe = shared_fixture("tiny-sdxl");
    const auto without_guidance = pipe(apple(1)).latents;
    const auto dropped =
        latents(pipe, {{"unconditional", "step >= 0", {ModuleKind::guidance}, {cachify::Store::Rule::drop}}});
    EXPECT_LT(relative_error(dropped, without_guidance), 1e-5);
}

TEST(GuidanceAsReuse, SavesTheHalfThatItLeavesOut) {
    auto& pipe = shared_fixture("tiny-sdxl");
    const auto full = pipe(apple());
    cachify::prepare(pipe, 6, cachify::guidance_reuse({.interval = 2, .before = 2}));
    const auto reused = pipe(apple());
    int count = 0;
    for (const auto& step : reused.report.steps) count += step.reused ? 1 : 0;
    EXPECT_EQ(count, 2);  // steps 3 and 5
    EXPECT_NEAR(reused.report.flops_run / reused.report.flops_full, 10.0 / 12, 1e-6);
    const double distance = relative_error(reused.latents, full.latents);
    EXPECT_GT(distance, 1e-6);
    EXPECT_LT(distance, relative_error(pipe(apple(1)).latents, full.latents));
    cachify::disable(pipe);
    EXPECT_LT(relative_error(pipe(apple()).latents, full.latents), 1e-5);
}

TEST(Policies, ThatReuseNothingGiveTheFullResult) {
    auto& pipe = shared_fixture("tiny-sdxl");
    const auto full = pipe(apple()).latents;
    for (const char* policy : {"deepcache:interval=1", "tgate:gate=6,interval=1", "taylorseer:interval=1",
                               "guidance:interval=1", "pab:self=2,from=1,to=1"}) {
        SCOPED_TRACE(policy);
        EXPECT_LT(relative_error(latents(pipe, cachify::make_policy(pipe, policy)), full), 1e-5);
    }
}

TEST(Policies, RunOnEveryKindOfDenoiser) {
    for (const char* folder : {"tiny-pixart", "tiny-sd3"})
        for (const char* policy : {"default", "deepcache:interval=2", "taylorseer:interval=2,before=1",
                                   "default+guidance:before=1"}) {
            SCOPED_TRACE(std::string(folder) + " " + policy);
            auto& pipe = shared_fixture(folder);
            cachify::prepare(pipe, 6, cachify::make_policy(pipe, policy));
            const auto report = pipe(apple()).report;
            EXPECT_TRUE(report.complaints.empty());
            EXPECT_LT(report.flops_run, report.flops_full);
        }
}

}  // namespace
}  // namespace reprise
