#include "core/weight.h"

#include <fmt/format.h>

#include <algorithm>

#include "reprise/error.h"

namespace reprise {

namespace {

std::int64_t rows_of(const Shape& shape) {
    return shape.empty() ? 1 : shape.front();
}

std::int64_t row_size(const Shape& shape) {
    return rows_of(shape) == 0 ? 0 : element_count(shape) / rows_of(shape);
}

/// The integer of a row's value `i`.
int integer_at(const PackedWeight& packed, const std::uint8_t* row, std::size_t i) {
    constexpr unsigned kLow = 0xFU, kSign = 0x8U;
    if (packed.bits == 8) return packed.is_signed ? static_cast<std::int8_t>(row[i]) : row[i];
    const unsigned nibble = i % 2 == 0 ? row[i / 2] & kLow : row[i / 2] >> 4U;
    return static_cast<int>(nibble) - (packed.is_signed && (nibble & kSign) != 0 ? 16 : 0);
}

/// Adds `strength * up @ down` to a matrix (out, in), f32.
void add_product(const LowRank& pair, std::span<float> matrix, std::int64_t out, std::int64_t in) {
    const std::int64_t rank = rows_of(pair.down.shape());
    if (row_size(pair.down.shape()) != in || rows_of(pair.up.shape()) != out ||
        row_size(pair.up.shape()) != rank)
        failure("a low-rank pair of {} and {} does not fit a weight of {} rows of {}",
                to_string(pair.down.shape()), to_string(pair.up.shape()), out, in);
    const Tensor down = pair.down.to(DType::f32);
    const Tensor up = pair.up.to(DType::f32);
    const auto columns = static_cast<std::size_t>(in);
    const auto ranks = static_cast<std::size_t>(rank);
    std::vector<float> sum(columns);
    for (std::size_t o = 0; o < static_cast<std::size_t>(out); ++o) {
        std::fill(sum.begin(), sum.end(), 0.0F);
        for (std::size_t r = 0; r < ranks; ++r) {
            const float factor = up.span<float>()[o * ranks + r];
            const float* row = down.span<float>().data() + r * columns;
            for (std::size_t i = 0; i < columns; ++i) sum[i] += factor * row[i];
        }
        float* target = matrix.data() + o * columns;
        for (std::size_t i = 0; i < columns; ++i) target[i] += pair.strength * sum[i];
    }
}

}  // namespace

void check(const PackedWeight& packed) {
    const std::int64_t rows = rows_of(packed.shape);
    const std::int64_t columns = row_size(packed.shape);
    if (packed.bits != 8 && packed.bits != 4)
        failure("weights are packed in {} bits; expected 8 or 4", packed.bits);
    if (packed.group < 1 || columns % packed.group != 0)
        failure("packed weights of {} have groups of {}; expected a divisor of {}", to_string(packed.shape),
                packed.group, columns);
    const Shape bytes = {rows, (columns * packed.bits + 7) / 8};
    if (packed.values.shape() != bytes || size_of(packed.values.type()) != 1)
        failure("packed weights of {} are {} of {}; expected bytes of {}", to_string(packed.shape),
                name_of(packed.values.type()), to_string(packed.values.shape()), to_string(bytes));
    const Shape groups = {rows, columns / packed.group};
    for (const Tensor* each : {&packed.scales, &packed.zeros})
        if ((each == &packed.scales || each->defined()) &&
            (each->shape() != groups || !is_floating(each->type())))
            failure("packed weights of {} have {} of {} and type {}; expected {}, floating",
                    to_string(packed.shape), each == &packed.scales ? "scales" : "zeros",
                    to_string(each->shape()), name_of(each->type()), to_string(groups));
}

Tensor unpacked(const PackedWeight& packed) {
    check(packed);
    const Tensor scales = packed.scales.to(DType::f32);
    const Tensor zeros = packed.zeros.defined() ? packed.zeros.to(DType::f32) : Tensor();
    Tensor result(DType::f32, packed.shape);
    const auto columns = static_cast<std::size_t>(row_size(packed.shape));
    const auto group = static_cast<std::size_t>(packed.group);
    const auto row_bytes = static_cast<std::size_t>(packed.values.dim(1));
    float* value = result.span<float>().data();
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows_of(packed.shape)); ++row) {
        const auto* integers = packed.values.span<std::uint8_t>().data() + row * row_bytes;
        for (std::size_t i = 0; i < columns; ++i) {
            const std::size_t at = row * (columns / group) + i / group;
            const float zero = zeros.defined() ? zeros.span<float>()[at] : 0.0F;
            *value++ =
                (static_cast<float>(integer_at(packed, integers, i)) - zero) * scales.span<float>()[at];
        }
    }
    return result;
}

const Shape& Weight::shape() const {
    const auto* packed = std::get_if<PackedWeight>(&values);
    return packed != nullptr ? packed->shape : std::get<Tensor>(values).shape();
}

Tensor merged(const Weight& weight) {
    const auto* packed = std::get_if<PackedWeight>(&weight.values);
    Tensor plain = packed != nullptr ? unpacked(*packed) : std::get<Tensor>(weight.values);
    if (weight.low_rank.empty()) return plain;
    const DType type = plain.type();
    Tensor sum = type == DType::f32 ? plain.clone() : plain.to(DType::f32);
    for (const LowRank& pair : weight.low_rank)
        add_product(pair, sum.span<float>(), rows_of(sum.shape()), row_size(sum.shape()));
    return sum.to(type);
}

std::string kind_of(const Weight& weight) {
    const auto* packed = std::get_if<PackedWeight>(&weight.values);
    std::string kind = packed != nullptr ? fmt::format("packed in {} bits", packed->bits) : "";
    if (const auto pairs = weight.low_rank.size(); pairs > 0)
        kind += fmt::format("{}with {} low-rank pair{} beside it", kind.empty() ? "" : " ", pairs,
                            pairs == 1 ? "" : "s");
    return kind.empty() ? "plain" : kind;
}

}  // namespace reprise
