#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "reprise/tensor.h"

namespace reprise {

/// Values that are stored as integers of 8 or 4 bits: value = (integer - zero) * scale. Scales and zeros are
/// shared by groups of values that follow one another in a row. A row is all that one index of the first
/// dimension selects.
struct PackedWeight {
    Shape shape;             ///< of the values
    int bits = 8;            ///< 8 or 4
    bool is_signed = true;   ///< two's complement
    std::int64_t group = 0;  ///< values that share a scale; divides a row
    Tensor values;           ///< u8 or i8, (rows, bytes of a row); of two in a byte the lower half is first
    Tensor scales;           ///< (rows, groups of a row), floating
    Tensor zeros;            ///< the same; undefined: zero
};

/// Error (failure) that says what does not fit, such as scales of another shape.
void check(const PackedWeight& packed);
/// The values, f32.
Tensor unpacked(const PackedWeight& packed);

/// A product of two narrow matrices beside a weight, as adapters have it: what a layer computes is that of
/// `weight + strength * up @ down`.
struct LowRank {
    Tensor down;         ///< (rank, in), or of a convolution (rank, in, sizes of the kernel)
    Tensor up;           ///< (out, rank), or (out, rank, 1, ...)
    float strength = 1;  ///< all factors: alpha / rank too
};

/// A weight of a model.
struct Weight {
    Weight() = default;
    Weight(Tensor tensor) : values(std::move(tensor)) {}        // NOLINT(google-explicit-constructor)
    Weight(PackedWeight packed) : values(std::move(packed)) {}  // NOLINT(google-explicit-constructor)

    std::variant<Tensor, PackedWeight> values;
    std::vector<LowRank> low_rank;

    /// A tensor with nothing beside it.
    bool is_plain() const { return low_rank.empty() && std::holds_alternative<Tensor>(values); }
    const Shape& shape() const;
};

/// The weight as one tensor of its own type (a packed one's is f32): unpacked, and with each low-rank product
/// added to it in f32, in their order. Error (failure) for shapes that do not fit.
Tensor merged(const Weight& weight);

/// What a weight that is not plain is, for messages: "packed in 8 bits", "with 2 low-rank pairs beside it".
std::string kind_of(const Weight& weight);

}  // namespace reprise
