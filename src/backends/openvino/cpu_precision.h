#pragma once

#include <string_view>

namespace reprise::backends {

/// Whether this CPU has arithmetic of its own in bf16 (AVX-512 BF16 or AMX) or f16 (AVX-512 FP16), and
/// `isa_limit`, the value of ONEDNN_MAX_CPU_ISA or empty, lets oneDNN use it. False on other architectures
/// than x86-64.
bool cpu_has_bf16(std::string_view isa_limit);
bool cpu_has_f16(std::string_view isa_limit);

/// Whether bf16 is the faster of this CPU's two, as well as the smaller: always with AMX, and without it
/// where its dot product (VDPBF16PS), timed once for a few milliseconds, multiplies more in a second than
/// f32's multiply-add. Some CPUs run it at half that rate (docs/benchmarks.md). False without bf16.
bool bf16_is_faster(std::string_view isa_limit);

/// ONEDNN_MAX_CPU_ISA of the environment, or empty.
std::string_view onednn_isa_limit();

}  // namespace reprise::backends
