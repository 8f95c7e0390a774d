#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "core/half.h"

namespace reprise {
namespace {

// The bulk conversions have vector forms; all must give the single conversions' bits, NaNs included (which
// bits a half's NaN keeps is left open).

TEST(HalfBulk, EveryHalfWidensAsOneByOne) {
    std::vector<std::uint16_t> bits(65536 + 7);
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
    std::vector<float> values(bits.size());
    convert_from_f16(bits, values);
    for (std::size_t i = 0; i < bits.size(); ++i) {
        const float expected = from_f16(bits[i]);
        if (std::isnan(expected))
            ASSERT_TRUE(std::isnan(values[i])) << i;
        else
            ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected)) << i;
    }
}

TEST(HalfBulk, FloatsOfAllSizesNarrowAsOneByOne) {
    constexpr std::uint64_t kStride = 4099;
    std::vector<float> values;
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32U); bits += kStride)
        values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    for (std::uint32_t i = 0; i < 65536; ++i) {  // ties of bfloat16, and their neighbours
        const std::uint32_t tie = (i << 16U) | 0x8000U;
        for (const std::uint32_t bits : {tie - 1, tie, tie + 1}) values.push_back(std::bit_cast<float>(bits));
    }
    std::vector<std::uint16_t> bits(values.size());
    convert_to_bf16(values, bits);
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(bits[i], to_bf16(values[i])) << values[i];
    convert_to_f16(values, bits);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(values[i]))
            ASSERT_TRUE(std::isnan(from_f16(bits[i]))) << i;
        else
            ASSERT_EQ(bits[i], to_f16(values[i])) << values[i];
    }
}

}  // namespace
}  // namespace reprise
