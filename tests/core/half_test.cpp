#include "core/half.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace reprise {
namespace {

/// The value of half bits from the format's definition.
double slow_from_f16(std::uint16_t bits) {
    const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
    const int exponent = (bits >> 10) & 0x1f;
    const int mantissa = bits & 0x3ff;
    if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
    return exponent == 0 ? sign * std::ldexp(mantissa, -24)
                         : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

/// Rounds by searching the neighbours: nearest, ties to the even mantissa. `last` is the largest finite
/// magnitude's bits; `value` gives the magnitude of bits.
template <class Value>
std::uint16_t slow_round(float x, std::uint16_t last, Value value) {
    const auto sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000U : 0U);
    const double magnitude = std::abs(static_cast<double>(x));
    std::uint32_t low = 0;  // the largest representable not above the magnitude
    std::uint32_t high = last;
    if (magnitude >= value(last)) {
        low = last;
    } else {
        while (high - low > 1) {
            const std::uint32_t middle = (low + high) / 2;
            (value(static_cast<std::uint16_t>(middle)) <= magnitude ? low : high) = middle;
        }
    }
    const double below = value(static_cast<std::uint16_t>(low));
    const double above = low == last ? below + (below - value(static_cast<std::uint16_t>(low - 1)))
                                     : value(static_cast<std::uint16_t>(low + 1));
    const double to_below = magnitude - below;
    const double to_above = above - magnitude;
    const bool up = to_above < to_below || (to_above == to_below && (low & 1U) != 0);
    return static_cast<std::uint16_t>(sign | (low + (up ? 1U : 0U)));
}

std::uint16_t slow_to_f16(float x) {
    if (std::isinf(x)) return std::signbit(x) ? 0xfc00 : 0x7c00;
    return slow_round(x, 0x7bff, slow_from_f16);
}
std::uint16_t slow_to_bf16(float x) {
    if (std::isinf(x)) return std::signbit(x) ? 0xff80 : 0x7f80;
    return slow_round(x, 0x7f7f, [](std::uint16_t bits) -> double { return from_bf16(bits); });
}

/// Floats at, beside and between every pair of neighbouring 16-bit values, and random bit patterns.
template <class FromBits>
std::vector<float> hard_floats(std::uint16_t last, FromBits from_bits) {
    std::vector<float> floats;
    for (std::uint32_t bits = 0; bits < last; bits += 3) {
        const float low = from_bits(static_cast<std::uint16_t>(bits));
        const float high = from_bits(static_cast<std::uint16_t>(bits + 1));
        const auto middle = static_cast<float>((static_cast<double>(low) + high) / 2);
        for (const float x : {low, middle, std::nextafter(middle, 0.0F), std::nextafter(middle, INFINITY)}) {
            floats.push_back(x);
            floats.push_back(-x);
        }
    }
    std::mt19937 random(1);
    while (floats.size() < 300000) {
        const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        if (!std::isnan(x)) floats.push_back(x);
    }
    floats.insert(floats.end(), {65504.0F, 65519.99F, 65520.0F, 65536.0F, std::numeric_limits<float>::max(),
                                 std::numeric_limits<float>::denorm_min(), INFINITY, -INFINITY, 0.0F, -0.0F});
    return floats;
}

TEST(Half, EveryF16RoundTrips) {
    for (std::uint32_t i = 0; i < 65536; ++i) {
        const auto bits = static_cast<std::uint16_t>(i);
        const double expected = slow_from_f16(bits);
        const float value = from_f16(bits);
        if (std::isnan(expected)) {
            ASSERT_TRUE(std::isnan(value)) << i;
            ASSERT_TRUE(std::isnan(from_f16(to_f16(value)))) << i;
            continue;
        }
        ASSERT_EQ(static_cast<double>(value), expected) << i;
        ASSERT_EQ(std::signbit(value), (bits & 0x8000U) != 0) << i;
        ASSERT_EQ(to_f16(value), bits) << i;
    }
}

TEST(Half, EveryBf16RoundTrips) {
    for (std::uint32_t i = 0; i < 65536; ++i) {
        const auto bits = static_cast<std::uint16_t>(i);
        const float value = from_bf16(bits);
        if (std::isnan(value))
            ASSERT_TRUE(std::isnan(from_bf16(to_bf16(value)))) << i;
        else
            ASSERT_EQ(to_bf16(value), bits) << i;
    }
}

TEST(Half, F16RoundsToNearestEven) {
    for (const float x : hard_floats(0x7bff, from_f16)) ASSERT_EQ(to_f16(x), slow_to_f16(x)) << x;
}

TEST(Half, Bf16RoundsToNearestEven) {
    for (const float x : hard_floats(0x7f7f, from_bf16)) ASSERT_EQ(to_bf16(x), slow_to_bf16(x)) << x;
}

TEST(Half, EveryNanStaysNan) {
    for (const std::uint32_t bits : {0x7f800001U, 0x7fc00000U, 0x7fffffffU, 0xff800001U, 0xffffffffU}) {
        const auto nan = std::bit_cast<float>(bits);
        EXPECT_TRUE(std::isnan(from_f16(to_f16(nan)))) << bits;
        EXPECT_TRUE(std::isnan(from_bf16(to_bf16(nan)))) << bits;
    }
}

TEST(Half, BulkEqualsSingle) {
    const std::array<float, 5> values{0.1F, -2.5F, 1e-7F, 1e6F, -0.0F};
    std::array<std::uint16_t, 5> bits{};
    std::array<float, 5> back{};
    convert_to_f16(values, bits);
    convert_from_f16(bits, back);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(back[i], from_f16(to_f16(values[i])));
    convert_to_bf16(values, bits);
    convert_from_bf16(bits, back);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(back[i], from_bf16(to_bf16(values[i])));
}

}  // namespace
}  // namespace reprise
