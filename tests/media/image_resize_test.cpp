#include "media/image_resize.h"

#include <algorithm>
#include <cmath>

#include "files/safetensors.h"
#include "files/support.h"

namespace reprise {
namespace {

const std::filesystem::path kFixtures = std::filesystem::path(REPRISE_FIXTURES) / "io";

const SafetensorsFile& fixture() {
    static const SafetensorsFile file(kFixtures / "pictures.safetensors");
    return file;
}

/// The fixture's picture "kind/WIDTHxHEIGHT" of every size.
std::vector<std::pair<ImageSize, Tensor>> sizes_of(const std::string& kind) {
    std::vector<std::pair<ImageSize, Tensor>> result;
    for (const auto& name : fixture().names()) {
        if (!name.starts_with(kind + "/")) continue;
        const auto cross = name.find('x', kind.size());
        result.emplace_back(
            ImageSize{std::stoi(name.substr(kind.size() + 1, cross)), std::stoi(name.substr(cross + 1))},
            *fixture().find(name));
    }
    return result;
}

Image image_of(const Tensor& pixels) {
    const auto values = pixels.span<std::uint8_t>();
    return {static_cast<int>(pixels.dim(1)), static_cast<int>(pixels.dim(0)), {values.begin(), values.end()}};
}

float largest_difference(const Tensor& a, const Tensor& b) {
    EXPECT_EQ(a.shape(), b.shape());
    float difference = 0;
    for (std::size_t i = 0; i < b.span<float>().size(); ++i) {
        const float own = std::fabs(a.span<float>()[i] - b.span<float>()[i]);
        difference = std::max(difference, std::isfinite(own) ? own : HUGE_VALF);
    }
    return difference;
}

TEST(ImageResize, IsPillowsToTheLastBit) {
    const Image base = Image::load(kFixtures / "base.png");
    const auto sizes = sizes_of("lanczos");
    ASSERT_EQ(sizes.size(), 7U);
    for (const auto& [size, pixels] : sizes)
        EXPECT_EQ(resize_lanczos(base, size), image_of(pixels)) << size.width << "x" << size.height;
}

TEST(ImageResize, FitsAsDiffusersDoes) {
    const Image base = Image::load(kFixtures / "base.png");
    for (const auto& [kind, fit] :
         {std::pair{"lanczos", Fit::stretch}, {"crop", Fit::crop}, {"letterbox", Fit::letterbox}}) {
        const auto sizes = sizes_of(kind);
        EXPECT_GE(sizes.size(), 2U) << kind;
        for (const auto& [size, pixels] : sizes)
            EXPECT_EQ(fitted(base, size, fit), image_of(pixels))
                << kind << " " << size.width << "x" << size.height;
    }
}

TEST(ImageResize, ThinPicturesKeepAPixel) {
    const Image line(4000, 1, std::vector<std::uint8_t>(std::size_t{4000} * 3, 200));
    for (const auto& [fit, rows] : {std::pair{Fit::stretch, 8}, {Fit::crop, 8}, {Fit::letterbox, 1}}) {
        const Image small = fitted(line, {8, 8}, fit);
        ASSERT_EQ(small.width(), 8);
        ASSERT_EQ(small.height(), 8);
        const auto& pixels = small.pixels();
        EXPECT_EQ(std::count(pixels.begin(), pixels.end(), 200), rows * 8 * 3);
        EXPECT_EQ(std::count(pixels.begin(), pixels.end(), 0), (8 - rows) * 8 * 3);  // on black
    }
}

TEST(ImageResize, PreprocessesAsTheVideoProcessor) {
    const Image base = Image::load(kFixtures / "base.png");
    const Tensor expected = *fixture().find("preprocessed");
    EXPECT_LE(largest_difference(to_chw(fitted(base, {24, 16}, Fit::stretch)), expected), 0.0F);
}

TEST(ImageResize, AntialiasesAsDiffusersDoes) {
    const Tensor base = to_chw(Image::load(kFixtures / "base.png"));
    const auto sizes = sizes_of("antialiased");
    ASSERT_EQ(sizes.size(), 4U);
    for (const auto& [size, expected] : sizes)
        EXPECT_LT(largest_difference(resize_antialiased(base, size), expected), 2e-5F)
            << size.width << "x" << size.height;
}

TEST(ImageResize, AntialiasesOnePixel) {
    const Tensor result = resize_antialiased(Tensor::from({1, 1, 1}, std::vector<float>{0.5F}), {4, 3});
    for (const float value : result.span<float>()) EXPECT_NEAR(value, 0.5F, 1e-6F);
}

}  // namespace
}  // namespace reprise
