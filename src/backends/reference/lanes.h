#pragma once

#include <cstdint>

namespace reprise::backends::reference {

/// Sums that are made side by side, because each by itself waits for its last addition. Each has its own
/// order still.
inline constexpr std::int64_t kLanes = 8;

struct Lanes {
    double sum[kLanes] = {};
    /// sum[i] += x * factors[i]
    void add(double x, const double* factors) {
        for (std::int64_t i = 0; i < kLanes; ++i) sum[i] += x * factors[i];
    }
};

/// Numbers of a row are `column_stride` apart.
struct Matrix {
    const float* values;
    std::int64_t rows, columns, row_stride, column_stride;
};

/// What Lanes::add takes, column by column: one number of each row. There are at most kLanes rows; those that
/// are missing are zero.
inline void interleave(const Matrix& matrix, double* into) {
    for (std::int64_t c = 0; c < matrix.columns; ++c)
        for (std::int64_t r = 0; r < kLanes; ++r)
            *into++ =
                r < matrix.rows
                    ? static_cast<double>(matrix.values[r * matrix.row_stride + c * matrix.column_stride])
                    : 0.0;
}

}  // namespace reprise::backends::reference
