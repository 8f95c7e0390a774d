#pragma once

#include <cstdint>
#include <optional>
#include <random>

#include "reprise/tensor.h"

namespace reprise {

/// PyTorch's CPU generator: the same seed gives the noise that `torch.Generator().manual_seed(seed)` gives,
/// draw after draw. Values drawn 16 at a time agree with PyTorch's AVX2 code within 4e-6, others exactly.
/// A mutable value: each generation has its own; not synchronised. Copying it copies the state.
class Generator {
  public:
    /// PyTorch takes a negative seed as its two's complement; so does static_cast<std::uint64_t>. Only the
    /// low 32 bits reach the Mersenne Twister.
    explicit Generator(std::uint64_t seed);

    /// torch.randn(shape, generator=g, dtype=torch.float32). An empty shape is one value, a shape with a
    /// zero draws nothing.
    Tensor randn(const Shape& shape);
    /// From here on a draw of (1, ...) is this row of what a draw of (rows, ...) gives: the noise of one of
    /// several pictures.
    void take_row(std::int64_t row, std::int64_t rows);

  private:
    Tensor draw(const Shape& shape);
    float uniform24();
    double uniform53();
    double normal();
    void transform_block(float* block) const;

    std::mt19937 engine_;
    std::optional<double> next_normal_;
    std::int64_t row_ = 0, rows_ = 1;
};

}  // namespace reprise
