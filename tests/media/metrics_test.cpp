#include "media/metrics.h"

#include <cmath>
#include <limits>

#include "files/json.h"
#include "files/support.h"

namespace reprise {
namespace {

using test::error_of;
using testing::HasSubstr;

const std::filesystem::path kFixtures = std::filesystem::path(REPRISE_FIXTURES) / "io";

TEST(Metrics, AgreeWithScikitImage) {
    const Image base = Image::load(kFixtures / "base.png");
    const Json expected = load_json(kFixtures / "metrics.json");
    ASSERT_EQ(expected.size(), 4U);
    for (const auto& [name, values] : expected.items()) {
        const Image other = Image::load(kFixtures / (name + ".png"));
        EXPECT_NEAR(psnr(base, other), values["psnr"].get<double>(), 1e-9) << name;
        EXPECT_NEAR(ssim(base, other), values["ssim"].get<double>(), 1e-9) << name;
        EXPECT_NEAR(ssim(other, base), ssim(base, other), 1e-12) << name;
    }
}

TEST(Metrics, OfEqualPictures) {
    const Image base = Image::load(kFixtures / "base.png");
    EXPECT_EQ(psnr(base, base), std::numeric_limits<double>::infinity());
    EXPECT_EQ(ssim(base, base), 1.0);
    EXPECT_NO_THROW(ssim(Image(11, 11), Image(11, 11)));
}

TEST(Metrics, RefuseWhatCannotBeCompared) {
    EXPECT_THAT(error_of([] { psnr(Image(3, 4), Image(4, 3)); }, ErrorKind::failure),
                HasSubstr("3x4 pixels with one of 4x3"));
    EXPECT_THAT(error_of([] { ssim(Image(), Image()); }, ErrorKind::failure), HasSubstr("0x0"));
    EXPECT_THAT(error_of([] { ssim(Image(20, 10), Image(20, 10)); }, ErrorKind::failure),
                HasSubstr("at least 11x11 pixels, found 20x10"));
    error_of([] { relative_error(Tensor(DType::f32, {2}), Tensor(DType::f32, {3})); }, ErrorKind::failure);
}

TEST(Metrics, RelativeErrorOfTensors) {
    const auto a = Tensor::from({2}, std::vector<float>{3, 4});
    const auto b = Tensor::from({2}, std::vector<float>{3, 3});
    EXPECT_DOUBLE_EQ(relative_error(b, a), 0.2);
    EXPECT_EQ(relative_error(a.to(DType::f16), a), 0.0);
    EXPECT_EQ(relative_error(Tensor(DType::f32, {2}), Tensor(DType::f32, {2})), 0.0);
    EXPECT_EQ(relative_error(a, Tensor(DType::f32, {2})), std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace reprise
