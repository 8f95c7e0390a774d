#include "files/weight_conversion.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/half.h"
#include "reprise/error.h"

namespace reprise {

namespace {

constexpr std::size_t kBlock = 4096;  // elements; a block and its f32 form stay in the fastest cache

/// `count` elements at `source` as T, by way of `copy` where the address does not suit T.
template <class T>
std::span<const T> aligned(const std::byte* source, std::size_t count, std::array<T, kBlock>& copy) {
    if (reinterpret_cast<std::uintptr_t>(source) % alignof(T) == 0)
        return {reinterpret_cast<const T*>(source), count};
    std::memcpy(copy.data(), source, count * sizeof(T));
    return {copy.data(), count};
}

/// At most kBlock elements as f32, in `buffer` or in place.
std::span<const float> widen(DType from, const std::byte* source, std::size_t count,
                             std::array<float, kBlock>& buffer) {
    const std::span<float> wide(buffer.data(), count);
    if (from == DType::f32) return aligned(source, count, buffer);
    if (from == DType::f64) {
        for (std::size_t i = 0; i < count; ++i) {
            double value = 0;
            std::memcpy(&value, source + i * sizeof value, sizeof value);
            wide[i] = static_cast<float>(value);
        }
        return wide;
    }
    std::array<std::uint16_t, kBlock> copy;
    const auto halves = aligned(source, count, copy);
    if (from == DType::f16)
        convert_from_f16(halves, wide);
    else
        convert_from_bf16(halves, wide);
    return wide;
}

}  // namespace

void convert_elements(const Conversion& conversion) {
    const auto [from, source, to, target, total] = conversion;
    if (!is_floating(from) || !is_floating(to) || to == DType::f64)
        failure("cannot convert weights of {} to {}", name_of(from), name_of(to));
    std::array<float, kBlock> buffer;
    for (std::size_t done = 0; done < total; done += kBlock) {
        const std::size_t count = std::min(kBlock, total - done);
        const auto wide = widen(from, source + done * size_of(from), count, buffer);
        std::byte* out = target + done * size_of(to);
        if (to == DType::f32)
            std::memcpy(out, wide.data(), wide.size_bytes());
        else if (to == DType::f16)
            convert_to_f16(wide, {reinterpret_cast<std::uint16_t*>(out), count});
        else
            convert_to_bf16(wide, {reinterpret_cast<std::uint16_t*>(out), count});
    }
}

std::vector<std::string> names_to_convert(const Checkpoint& checkpoint, DType precision) {
    std::vector<std::string> names;
    for (auto& name : checkpoint.names()) {
        const auto type = dtype_from_safetensors(checkpoint.entry(name)->dtype);
        if (type && is_floating(*type) && *type != precision) names.push_back(std::move(name));
    }
    return names;
}

std::optional<Weight> ConvertingWeights::weight(std::string_view name) const {
    const SafetensorsEntry* entry = checkpoint_->entry(name);
    const auto type = entry == nullptr ? std::nullopt : dtype_from_safetensors(entry->dtype);
    if (!type || !is_floating(*type) || *type == precision_) return checkpoint_->weight(name);
    Tensor tensor(precision_, entry->shape);
    convert_elements({.from = *type,
                      .source = checkpoint_->raw(name).data(),
                      .to = precision_,
                      .target = static_cast<std::byte*>(tensor.data()),
                      .count = static_cast<std::size_t>(tensor.count())});
    return tensor;
}

}  // namespace reprise
