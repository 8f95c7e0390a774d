#include "core/generator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "core/fixtures.h"

namespace reprise {
namespace {

constexpr double kTolerance = 4e-6;  // absolute; PyTorch's 16-wide code uses its own log, sin and cos

std::uint64_t seed_of(const std::string& name) {
    const std::string text = name.substr(0, name.find('/'));
    return text.starts_with('-') ? static_cast<std::uint64_t>(std::stoll(text)) : std::stoull(text);
}

TEST(Generator, EqualsTorchDrawAfterDraw) {
    const auto fixture = testing::read_fixture("core/randn.safetensors");
    std::map<std::string, Generator> generators;
    double worst = 0.0;
    for (const auto& [name, expected] : fixture.tensors) {  // sorted, so a seed's draws come in order
        const std::string seed = name.substr(0, name.find('/'));
        auto& generator = generators.try_emplace(seed, Generator(seed_of(name))).first->second;
        const Tensor drawn = generator.randn(expected.shape());
        for (std::size_t i = 0; i < drawn.span<float>().size(); ++i) {
            const double delta = std::abs(drawn.span<float>()[i] - expected.span<float>()[i]);
            worst = std::max(worst, delta);
            if (drawn.count() < 16)
                ASSERT_EQ(drawn.span<float>()[i], expected.span<float>()[i]) << name << " at " << i;
            else
                ASSERT_LE(delta, kTolerance) << name << " at " << i;
        }
    }
    EXPECT_GE(generators.size(), 15U);
    RecordProperty("worst", fmt::format("{:.1e}", worst));
}

TEST(Generator, OnlyTheCountOfValuesMatters) {
    Generator flat(3);
    Generator shaped(3);
    const Tensor a = flat.randn({48});
    const Tensor b = shaped.randn({2, 3, 4, 2});
    EXPECT_EQ(b.shape(), (Shape{2, 3, 4, 2}));
    EXPECT_EQ(testing::relative_error(a, b.reshaped({48})), 0.0);
}

TEST(Generator, AnEmptyDrawLeavesTheState) {
    Generator a(11);
    Generator b(11);
    EXPECT_EQ(a.randn({0, 4}).count(), 0);
    EXPECT_EQ(testing::relative_error(a.randn({3}), b.randn({3})), 0.0);
}

TEST(Generator, ACopyContinuesAlone) {
    Generator a(5);
    a.randn({3});  // leaves a cached value
    Generator b = a;
    EXPECT_EQ(testing::relative_error(a.randn({21}), b.randn({21})), 0.0);
    EXPECT_EQ(testing::relative_error(a.randn({1}), b.randn({1})), 0.0);
}

TEST(Generator, ScalarShapeIsOneValue) {
    EXPECT_EQ(Generator(1).randn({}).count(), 1);
}

TEST(Generator, TakesTheRowOfOnePicture) {
    Generator all(7), one(7);
    one.take_row(2, 3);
    for (const Shape& shape : {Shape{3, 4, 5}, Shape{3, 1, 2}}) {  // in blocks of 16, and one by one
        const Tensor every = all.randn(shape);
        const Tensor row = one.randn({1, shape[1], shape[2]});
        ASSERT_EQ(row.shape(), Shape({1, shape[1], shape[2]}));
        for (std::size_t i = 0; i < row.span<float>().size(); ++i)
            EXPECT_EQ(row.span<float>()[i], every.rows(2, 3).span<float>()[i]);
    }
}

}  // namespace
}  // namespace reprise
