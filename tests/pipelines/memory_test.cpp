// Memory over calls with other sizes and configurations.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "backends/store.h"
#include "core/machine.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

using reprise::testing::open_fixture;
using reprise::testing::same_bits;

/// The process's store with other limits while it lives.
class Limited {
  public:
    explicit Limited(double bytes) : before_(store().limits()) { store().limit({bytes, before_.mappings}); }
    Limited(const Limited&) = delete;
    Limited& operator=(const Limited&) = delete;
    ~Limited() { store().limit(before_); }
    static backends::Store& store() { return backends::Store::of_process(); }

  private:
    backends::Store::Limits before_;
};

GenerateOptions sized(int height, int width, GuidanceMode mode = GuidanceMode::split) {
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 1;
    options.height = height;
    options.width = width;
    options.guidance_mode = mode;
    options.decode = false;
    return options;
}

double resident_bytes() {
    std::ifstream file("/proc/self/statm");
    double all = 0, resident = 0;
    file >> all >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

TEST(Memory, SizesAreHeldWithinALimitAndDrawTheSameAgain) {
    const auto pipe = open_fixture("tiny-sdxl");
    const auto& denoiser = pipe.implementation().denoiser();
    const auto output = pipe(sized(16, 16));
    const Tensor first = output.latents;
    // The prologue, of what depends on the text alone, is the same for all sizes.
    const std::size_t pieces = output.report.segments - 1;
    const double one = denoiser.held().footprint.bytes;
    if (one == 0) GTEST_SKIP() << "this build's backend holds nothing";
    const Limited limited(2.5 * one);
    for (int side = 3; side < 5; ++side) pipe(sized(16, 8 * side));
    EXPECT_EQ(denoiser.held().count, 3 * pieces + 1);  // the one used last, and two that fit beside it
    const double resident = resident_bytes();
    for (int side = 5; side < 9; ++side) pipe(sized(16, 8 * side));
    EXPECT_EQ(denoiser.held().count, 3 * pieces + 1);
    EXPECT_LT(resident_bytes() - resident, 2.5 * one);  // of four more
    EXPECT_LT(machine::mappings().value(), machine::most_mappings().value() / 2);
    EXPECT_TRUE(same_bits(pipe(sized(16, 16)).latents, first));
}

TEST(Memory, ConfigurationsAreHeldWithinALimit) {
    auto pipe = open_fixture("tiny-sdxl");
    const auto& denoiser = pipe.implementation().denoiser();
    const Limited limited(0);
    auto options = sized(16, 16);
    options.num_inference_steps = 4;
    for (const char* block : {"down_blocks.1", "mid_block", "up_blocks.0"}) {
        cachify::prepare(
            pipe, 4,
            cachify::parse_config(
                fmt::format(
                    R"([{{"wildcard_or_filter_func": "{}", "select_cache_step_func": "step % 2 != 0"}}])",
                    block),
                "here"));
        const auto report = pipe(options).report;
        if (denoiser.held().footprint.bytes == 0) GTEST_SKIP() << "this build's backend holds nothing";
        EXPECT_LE(denoiser.held().count, report.segments);
    }
}

TEST(Memory, TheSlowerWayOfGuidanceIsFreed) {
    const auto pipe = open_fixture("tiny-sdxl");
    const auto report = pipe(sized(16, 16, GuidanceMode::automatic)).report;
    EXPECT_EQ(pipe.implementation().denoiser().held().count, report.segments);
}

TEST(Memory, APipelineTakesItsOwnAlong) {
    const auto before = Limited::store().held().count;
    {
        const auto pipe = open_fixture("tiny-sdxl");
        auto options = sized(16, 16);
        options.decode = true;
        const auto report = pipe(options).report;
        EXPECT_EQ(report.held.pieces, before + report.segments + 3);  // two encoders, decoder
        EXPECT_EQ(report.held.bytes_in_use, 0);
        EXPECT_EQ(Limited::store().held().count, report.held.pieces);
    }
    EXPECT_EQ(Limited::store().held().count, before);
}

}  // namespace
}  // namespace reprise
