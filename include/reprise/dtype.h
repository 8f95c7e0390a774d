#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)

namespace reprise {

/// Element types of tensors, safetensors files and graphs.
enum class DType : std::uint8_t { f32, f16, bf16, f64, i64, i32, i16, i8, u8, boolean };

/// Bytes of one element.
std::size_t size_of(DType type);
/// The name used in messages and on the command line: "f32", "bf16", "i64", ...
std::string_view name_of(DType type);
/// True for f16, bf16, f32, f64.
bool is_floating(DType type);

}  // namespace reprise

#pragma GCC visibility pop
