#include "core/generator.h"

#include <cmath>
#include <cstddef>
#include <numbers>

namespace reprise {

namespace {
constexpr std::size_t kBlock = 16;
}

Generator::Generator(std::uint64_t seed) : engine_(static_cast<std::uint32_t>(seed & 0xffffffffU)) {}

float Generator::uniform24() {
    return static_cast<float>(static_cast<std::uint32_t>(engine_()) & 0xffffffU) * 0x1p-24F;
}

double Generator::uniform53() {
    const std::uint64_t high = engine_();
    const std::uint64_t low = engine_();
    return static_cast<double>(((high << 32U) | low) & ((1ULL << 53U) - 1U)) * 0x1p-53;
}

double Generator::normal() {
    if (next_normal_) {
        const double value = *next_normal_;
        next_normal_.reset();
        return value;
    }
    const double u1 = uniform53();
    const double u2 = uniform53();
    const double radius = std::sqrt(-2.0 * std::log1p(-u2));
    const double theta = 2.0 * std::numbers::pi * u1;
    next_normal_ = radius * std::sin(theta);
    return radius * std::cos(theta);
}

/// Box-Muller on 8 pairs of uniforms: value j is paired with value j + 8.
void Generator::transform_block(float* block) const {
    constexpr float kTwoPi = 2.0F * std::numbers::pi_v<float>;
    for (std::size_t j = 0; j < kBlock / 2; ++j) {
        const float radius = std::sqrt(-2.0F * std::log(1.0F - block[j]));
        const float theta = kTwoPi * block[j + kBlock / 2];
        block[j] = radius * std::cos(theta);
        block[j + kBlock / 2] = radius * std::sin(theta);
    }
}

void Generator::take_row(std::int64_t row, std::int64_t rows) {
    row_ = row;
    rows_ = rows;
}

Tensor Generator::randn(const Shape& shape) {
    if (rows_ == 1) return draw(shape);
    Shape all = shape;
    all.at(0) *= rows_;
    return draw(all).rows(row_ * shape[0], (row_ + 1) * shape[0]).clone();
}

Tensor Generator::draw(const Shape& shape) {
    Tensor result(DType::f32, shape);
    const auto values = result.span<float>();
    const std::size_t size = values.size();
    if (size < kBlock) {
        for (auto& value : values) value = static_cast<float>(normal());
        return result;
    }
    for (auto& value : values) value = uniform24();
    for (std::size_t i = 0; i + kBlock <= size; i += kBlock) transform_block(&values[i]);
    if (size % kBlock != 0) {  // the last 16 values are drawn anew
        float* const last = &values[size - kBlock];
        for (std::size_t i = 0; i < kBlock; ++i) last[i] = uniform24();
        transform_block(last);
    }
    return result;
}

}  // namespace reprise
