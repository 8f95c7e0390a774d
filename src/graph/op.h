#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "reprise/dtype.h"
#include "reprise/tensor.h"

namespace reprise::graph {

/// Every operation there is. A new one needs: a line here, its shape rule (shape.cpp), its cost (cost.cpp),
/// a builder function, and a lowering in each backend.
enum class Op : std::uint8_t {
    input,             ///< a value from outside: host data or a slot
    constant,          ///< a weight
    convert,           ///< to another element type
    convolution,       ///< x, weight (O, I/groups, k...) [, bias (O)]; 2 or 3 spatial dimensions
    linear,            ///< x (..., I), weight (O, I) [, bias (O)]
    group_norm,        ///< x (B, C, ...), weight (C), bias (C)
    layer_norm,        ///< x (..., C) [, weight (C), bias (C)], over the last dimension
    rms_norm,          ///< x (..., C) [, weight (C)], over the last dimension
    unary,             ///< elementwise function
    binary,            ///< elementwise arithmetic with NumPy broadcasting
    affine,            ///< x * scale + shift
    attention,         ///< q (B, Lq, H*D), k (B, Lk, H*D), v (B, Lk, H*E) [, bias to (B, H, Lq, Lk)]
    softmax,           ///< over one axis
    concat,            ///< along one axis
    slice,             ///< [begin, end) of one axis
    repeat,            ///< each element of one axis `times` times in a row (torch.repeat_interleave)
    reshape,           ///< same elements, other shape
    transpose,         ///< permuted axes
    pad,               ///< zeros before and after each axis
    upsample_nearest,  ///< last two dimensions to a given size
    gather,            ///< rows of table (N, ...) by i64 ids (...)
    module_output,     ///< one output of a module: the identity, and the place where reuse cuts
};

enum class Unary : std::uint8_t { silu, gelu, gelu_tanh, quick_gelu, sigmoid, tanh, relu };
enum class Binary : std::uint8_t { add, subtract, multiply, divide };

/// When the value of an input is given.
enum class When : std::uint8_t {
    step,   ///< at each evaluation: latents, timestep
    fixed,  ///< once for a picture: what guides it
};

/// What a graph takes from outside, as its builder declares it.
struct InputAttrs {
    std::string name;
    DType type = DType::f32;
    Shape shape;
    When when = When::step;
    bool per_half = false;  ///< fixed, and the halves of guidance have their own: rows of a batch of both
    bool latents = false;   ///< what the denoiser predicts for
};
struct ConstantAttrs {
    std::string name;  ///< the checkpoint's key
    Tensor value;      ///< undefined when the graph was built for its structure only
    DType type = DType::f32;
    Shape shape;
    bool is_literal = false;  ///< its values are the model's function's, not the checkpoint's
    std::string source = {};  ///< the weight's identity in its source; empty for a literal
};
struct ConvertAttrs {
    DType type = DType::f32;
};
struct ConvolutionAttrs {
    std::vector<std::int64_t> stride, pad_begin, pad_end;  ///< one per spatial dimension
    std::int64_t groups = 1;
};
struct NormAttrs {
    std::int64_t groups = 1;  ///< group_norm only
    float epsilon = 1e-5F;
};
struct UnaryAttrs {
    Unary function = Unary::silu;
};
struct BinaryAttrs {
    Binary function = Binary::add;
};
struct AffineAttrs {
    float scale = 1, shift = 0;
};
struct AttentionAttrs {
    std::int64_t heads = 1;
    float scale = 1;      ///< on q k^T, usually 1/sqrt(D)
    bool causal = false;  ///< position i sees 0..i only
};
struct AxisAttrs {
    std::int64_t axis = 0;  ///< never negative
};
struct SliceAttrs {
    std::int64_t axis = 0, begin = 0, end = 0;
};
struct RepeatAttrs {
    std::int64_t axis = 0, times = 1;
};
struct ShapeAttrs {
    Shape shape;
};
struct TransposeAttrs {
    std::vector<std::int64_t> permutation;
};
struct PadAttrs {
    std::vector<std::int64_t> begin, end;  ///< one per axis
};
struct UpsampleAttrs {
    std::int64_t height = 0, width = 0;
};
struct ModuleOutputAttrs {
    std::int64_t index = 0;  ///< which output of the module
};

using Attributes =
    std::variant<std::monostate, InputAttrs, ConstantAttrs, ConvertAttrs, ConvolutionAttrs, NormAttrs,
                 UnaryAttrs, BinaryAttrs, AffineAttrs, AttentionAttrs, AxisAttrs, SliceAttrs, RepeatAttrs,
                 ShapeAttrs, TransposeAttrs, PadAttrs, UpsampleAttrs, ModuleOutputAttrs>;

/// "convolution", "group_norm", ...: for messages and pictures.
std::string_view name_of(Op op);

}  // namespace reprise::graph
