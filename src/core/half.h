#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace reprise {

/// bfloat16 bits of a float, rounded to nearest even; NaN stays NaN.
inline std::uint16_t to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
    return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}
inline float from_bf16(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// IEEE half bits of a float, rounded to nearest even; overflow gives infinity.
std::uint16_t to_f16(float value);
float from_f16(std::uint16_t bits);

/// Bulk conversions; both spans have the same length.
void convert_to_bf16(std::span<const float> from, std::span<std::uint16_t> to);
void convert_from_bf16(std::span<const std::uint16_t> from, std::span<float> to);
void convert_to_f16(std::span<const float> from, std::span<std::uint16_t> to);
void convert_from_f16(std::span<const std::uint16_t> from, std::span<float> to);

}  // namespace reprise
