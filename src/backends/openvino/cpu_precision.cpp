#include "backends/openvino/cpu_precision.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace reprise::backends {

namespace {

/// True when the limit names an instruction set older than the one that bf16 or f16 came with.
bool is_below(std::string_view limit, bool f16) {
    constexpr std::array<std::string_view, 7> kWithoutBf16 = {
        "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"};
    std::string name(limit);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
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

}  // namespace

bool cpu_has_bf16(std::string_view isa_limit) {
    constexpr unsigned kAvx512Bf16 = 1U << 5U;
    return has_feature(1, kAvx512Bf16, 0) && !is_below(isa_limit, false);
}
bool cpu_has_f16(std::string_view isa_limit) {
    constexpr unsigned kAvx512Fp16 = 1U << 23U;
    return has_feature(0, 0, kAvx512Fp16) && !is_below(isa_limit, true);
}
#else
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
