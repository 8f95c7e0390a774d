#include "core/half.h"

#include <cstddef>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace reprise {

namespace {

// Vector forms of the bulk conversions; each returns how many elements it converted from the front.
#if defined(__x86_64__)
bool has_vectors() {
    static const bool found = [] {
        unsigned eax = 0;
        unsigned ebx = 0;
        unsigned ecx = 0;
        unsigned edx = 0;
        return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0 &&
               __builtin_cpu_supports("avx2") != 0;
    }();
    return found;
}

__attribute__((target("avx2,f16c"))) std::size_t to_f16_vectors(std::span<const float> from,
                                                                std::uint16_t* to) {
    std::size_t i = 0;
    for (; i + 8 <= from.size(); i += 8) {
        const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from.data() + i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), halves);
    }
    return i;
}

__attribute__((target("avx2,f16c"))) std::size_t from_f16_vectors(std::span<const std::uint16_t> from,
                                                                  float* to) {
    std::size_t i = 0;
    for (; i + 8 <= from.size(); i += 8) {
        const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from.data() + i));
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(halves));
    }
    return i;
}

__attribute__((target("avx2,f16c"))) __m256i to_bf16_avx2(__m256i bits) {
    const __m256 value = _mm256_castsi256_ps(bits);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    const __m256i high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    return _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16), quiet, nan);
}

__attribute__((target("avx2,f16c"))) std::size_t to_bf16_vectors(std::span<const float> from,
                                                                 std::uint16_t* to) {
    std::size_t i = 0;
    for (; i + 16 <= from.size(); i += 16) {
        const auto* source = reinterpret_cast<const __m256i*>(from.data() + i);
        const __m256i low = to_bf16_avx2(_mm256_loadu_si256(source));
        const __m256i high = to_bf16_avx2(_mm256_loadu_si256(source + 1));
        // The pack works within halves of 128 bits, so its quarters come out as 0, 2, 1, 3.
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), packed);
    }
    return i;
}
#else
bool has_vectors() {
    return false;
}
std::size_t to_bf16_vectors(std::span<const float>, std::uint16_t*) {
    return 0;
}
std::size_t to_f16_vectors(std::span<const float>, std::uint16_t*) {
    return 0;
}
std::size_t from_f16_vectors(std::span<const std::uint16_t>, float*) {
    return 0;
}
#endif

}  // namespace

std::uint16_t to_f16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto sign = static_cast<std::uint16_t>((bits >> 16U) & 0x8000U);
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
    if (magnitude >= 0x47800000U) return static_cast<std::uint16_t>(sign | 0x7c00U);  // 65536 and above
    if (magnitude < 0x38800000U) {  // subnormal: let float addition do the rounding
        const float scaled = std::bit_cast<float>(magnitude) + 0.5F;
        return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(scaled) - 0x3f000000U));
    }
    const std::uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13U) & 1U);
    return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13U));
}

float from_f16(std::uint16_t bits) {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
    const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7fffU);
    if (magnitude >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | ((magnitude & 0x3ffU) << 13U));
    if (magnitude >= 0x400U) return std::bit_cast<float>(sign | ((magnitude << 13U) + 0x38000000U));
    const float subnormal = static_cast<float>(magnitude) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(subnormal));
}

void convert_to_bf16(std::span<const float> from, std::span<std::uint16_t> to) {
    std::size_t i = has_vectors() ? to_bf16_vectors(from, to.data()) : 0;
    for (; i < from.size(); ++i) to[i] = to_bf16(from[i]);
}
void convert_from_bf16(std::span<const std::uint16_t> from, std::span<float> to) {
    for (std::size_t i = 0; i < from.size(); ++i) to[i] = from_bf16(from[i]);
}
void convert_to_f16(std::span<const float> from, std::span<std::uint16_t> to) {
    std::size_t i = has_vectors() ? to_f16_vectors(from, to.data()) : 0;
    for (; i < from.size(); ++i) to[i] = to_f16(from[i]);
}
void convert_from_f16(std::span<const std::uint16_t> from, std::span<float> to) {
    std::size_t i = has_vectors() ? from_f16_vectors(from, to.data()) : 0;
    for (; i < from.size(); ++i) to[i] = from_f16(from[i]);
}

}  // namespace reprise
