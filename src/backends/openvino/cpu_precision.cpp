#include "backends/openvino/cpu_precision.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#include <chrono>
#endif

namespace reprise::backends {

namespace {

std::string upper(std::string_view text) {
    std::string name(text);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return name;
}

/// True when the limit names an instruction set older than the one that bf16 or f16 came with.
bool is_below(std::string_view limit, bool f16) {
    constexpr std::array<std::string_view, 7> kWithoutBf16 = {
        "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"};
    const std::string name = upper(limit);
    return std::find(kWithoutBf16.begin(), kWithoutBf16.end(), name) != kWithoutBf16.end() ||
           (f16 && name == "AVX512_CORE_BF16");
}

}  // namespace

#if defined(__x86_64__)
namespace {

/// A feature of CPUID leaf 7, on a system that saves the AVX-512 registers.
bool has_feature(unsigned subleaf, unsigned eax_mask, unsigned edx_mask) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__builtin_cpu_supports("avx512f") || __get_cpuid_count(7, subleaf, &eax, &ebx, &ecx, &edx) == 0)
        return false;
    return (eax & eax_mask) == eax_mask && (edx & edx_mask) == edx_mask;
}

bool is_below_amx(std::string_view limit) {
    const std::string name = upper(limit);
    return is_below(limit, true) || name == "AVX512_CORE_FP16" || name == "AVX10_1_512";
}

constexpr int kRounds = 20'000;
/// Accumulators that do not wait for each other: more than any CPU's latency times its units.
struct Chains {
    __m512 sums[12];
};

// The bits are whatever they are: zeros, so that nothing overflows or is denormal.
__attribute__((target("avx512f"), noinline)) void multiply_f32(Chains& chains, __m512 a, __m512 b) {
    for (int round = 0; round < kRounds; ++round)
        for (__m512& sum : chains.sums) sum = _mm512_fmadd_ps(a, b, sum);
}
__attribute__((target("avx512f,avx512bf16"), noinline)) void multiply_bf16(Chains& chains, __m512 a,
                                                                           __m512 b) {
    for (int round = 0; round < kRounds; ++round)
        for (__m512& sum : chains.sums)
            sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

/// By the least of some times, taken by turns.
__attribute__((target("avx512f"))) bool bf16_multiplies_faster() {
    using Clock = std::chrono::steady_clock;
    constexpr int kTurns = 7;
    double f32 = 1, bf16 = 1;
    Chains chains{};
    const __m512 zero = _mm512_setzero_ps();
    for (int turn = 0; turn < kTurns; ++turn) {
        const auto time = [&](auto multiply, double& least) {
            const auto begin = Clock::now();
            multiply(chains, zero, zero);
            least = std::min(least, std::chrono::duration<double>(Clock::now() - begin).count());
        };
        time(multiply_f32, f32);
        time(multiply_bf16, bf16);
    }
    return bf16 < 2 * f32;  // twice as many products in each
}

}  // namespace

bool bf16_is_faster(std::string_view isa_limit) {
    constexpr unsigned kAmxBf16 = 1U << 22U;
    if (!cpu_has_bf16(isa_limit)) return false;
    if (has_feature(0, 0, kAmxBf16) && !is_below_amx(isa_limit)) return true;
    static const bool faster = bf16_multiplies_faster();
    return faster;
}
bool cpu_has_bf16(std::string_view isa_limit) {
    constexpr unsigned kAvx512Bf16 = 1U << 5U;
    return has_feature(1, kAvx512Bf16, 0) && !is_below(isa_limit, false);
}
bool cpu_has_f16(std::string_view isa_limit) {
    constexpr unsigned kAvx512Fp16 = 1U << 23U;
    return has_feature(0, 0, kAvx512Fp16) && !is_below(isa_limit, true);
}
#else
bool bf16_is_faster(std::string_view) {
    return false;
}
bool cpu_has_bf16(std::string_view) {
    return false;
}
bool cpu_has_f16(std::string_view) {
    return false;
}
#endif

std::string_view onednn_isa_limit() {
    const char* value = std::getenv("ONEDNN_MAX_CPU_ISA");  // NOLINT(concurrency-mt-unsafe)
    return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace reprise::backends
