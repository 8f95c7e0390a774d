// Picture sizes and scaled pictures by tests/parity/pixart_pipelines.py.
#include "pipelines/aspect_bins.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "files/safetensors.h"

namespace reprise::pipelines {
namespace {

const SafetensorsFile& expected() {
    static const SafetensorsFile kFile(std::string(REPRISE_FIXTURES) + "/pipelines/aspect_bins.safetensors");
    return kFile;
}

TEST(AspectBins, AreDiffusers) {
    for (const int sample_size : {32, 64, 128, 256}) {
        const auto bins = AspectBins::find(sample_size, true);
        ASSERT_TRUE(bins);
        const Tensor rows = expected().find("bins/" + std::to_string(sample_size))->clone();
        for (std::int64_t i = 0; i < rows.dim(0); ++i) {
            const auto* row = rows.span<std::int64_t>().data() + 4 * i;
            const PictureSize asked = {static_cast<int>(row[0]), static_cast<int>(row[1])};
            const PictureSize bin = {static_cast<int>(row[2]), static_cast<int>(row[3])};
            EXPECT_EQ(bins->closest(asked), bin) << asked.height << " x " << asked.width;
        }
    }
    EXPECT_FALSE(AspectBins::find(256, false));
    EXPECT_FALSE(AspectBins::find(16, true));
}

TEST(AspectBins, PicturesAreScaledAndCroppedAsDiffusersDoes) {
    const Tensor picture = expected().find("picture")->clone();
    int count = 0;
    for (const auto& [name, entry] : expected().entries()) {
        if (!name.starts_with("resized/")) continue;
        ++count;
        const Tensor theirs = expected().find(name)->clone();
        const Tensor ours =
            resized_and_cropped(picture, {static_cast<int>(theirs.dim(2)), static_cast<int>(theirs.dim(3))});
        ASSERT_EQ(ours.shape(), theirs.shape()) << name;
        for (std::size_t i = 0; i < ours.span<float>().size(); ++i)
            ASSERT_NEAR(ours.span<float>()[i], theirs.span<float>()[i], 1e-5) << name << " at " << i;
    }
    EXPECT_EQ(count, 7);
}

}  // namespace
}  // namespace reprise::pipelines
