#include "reprise/tensor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/half.h"
#include "reprise/error.h"

namespace reprise {

std::size_t size_of(DType type) {
    switch (type) {
        case DType::f64:
        case DType::i64:
            return 8;
        case DType::f32:
        case DType::i32:
            return 4;
        case DType::f16:
        case DType::bf16:
        case DType::i16:
            return 2;
        case DType::i8:
        case DType::u8:
        case DType::boolean:
            return 1;
    }
    failure("unknown element type {}", static_cast<int>(type));
}

std::string_view name_of(DType type) {
    switch (type) {
        case DType::f32:
            return "f32";
        case DType::f16:
            return "f16";
        case DType::bf16:
            return "bf16";
        case DType::f64:
            return "f64";
        case DType::i64:
            return "i64";
        case DType::i32:
            return "i32";
        case DType::i16:
            return "i16";
        case DType::i8:
            return "i8";
        case DType::u8:
            return "u8";
        case DType::boolean:
            return "bool";
    }
    return "?";
}

bool is_floating(DType type) {
    return type == DType::f32 || type == DType::f16 || type == DType::bf16 || type == DType::f64;
}

std::int64_t element_count(const Shape& shape) {
    std::int64_t count = 1;
    for (const auto size : shape) count *= size;
    return count;
}

std::string to_string(const Shape& shape) {
    return fmt::format("({})", fmt::join(shape, ", "));
}

Tensor::Tensor(DType type, Shape shape) : type_(type), shape_(std::move(shape)) {
    constexpr std::size_t kAlignment = 64;
    const std::size_t size = (bytes() + kAlignment) / kAlignment * kAlignment;  // never zero
    data_ = std::aligned_alloc(kAlignment, size);
    if (data_ == nullptr)
        failure("out of memory: {} bytes for a tensor of shape {}", size, to_string(shape_));
    std::memset(data_, 0, size);
    owner_ = std::shared_ptr<void>(data_, std::free);
}

Tensor Tensor::view(DType type, Shape shape, void* data, std::shared_ptr<void> owner) {
    Tensor tensor;
    tensor.type_ = type;
    tensor.shape_ = std::move(shape);
    tensor.data_ = data;
    tensor.owner_ = std::move(owner);
    return tensor;
}

namespace {

template <class T>
Tensor tensor_from(DType type, Shape shape, std::span<const T> values) {
    Tensor tensor(type, std::move(shape));
    if (static_cast<std::size_t>(tensor.count()) != values.size())
        failure("{} values given for a tensor of shape {}", values.size(), to_string(tensor.shape()));
    std::copy(values.begin(), values.end(), tensor.span<T>().begin());
    return tensor;
}

std::vector<float> as_floats(const Tensor& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.count()));
    switch (tensor.type()) {
        case DType::f32:
            std::copy(tensor.span<float>().begin(), tensor.span<float>().end(), values.begin());
            break;
        case DType::f16:
            convert_from_f16(tensor.span<std::uint16_t>(), values);
            break;
        case DType::bf16:
            convert_from_bf16(tensor.span<std::uint16_t>(), values);
            break;
        case DType::f64: {
            const auto source = tensor.span<double>();
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(source[i]);
            break;
        }
        default:
            failure("cannot convert a tensor of {} to a floating type", name_of(tensor.type()));
    }
    return values;
}

}  // namespace

Tensor Tensor::from(Shape shape, std::span<const float> values) {
    return tensor_from(DType::f32, std::move(shape), values);
}
Tensor Tensor::from(Shape shape, std::span<const std::int64_t> values) {
    return tensor_from(DType::i64, std::move(shape), values);
}

Tensor Tensor::clone() const {
    Tensor copy(type_, shape_);
    std::memcpy(copy.data_, data_, bytes());
    return copy;
}

Tensor Tensor::to(DType type) const {
    if (type == type_) return *this;
    Tensor result(type, shape_);
    const auto from_f32 = [&](std::span<const float> values) {
        switch (type) {
            case DType::f32:
                std::copy(values.begin(), values.end(), result.span<float>().begin());
                break;
            case DType::f16:
                convert_to_f16(values, result.span<std::uint16_t>());
                break;
            case DType::bf16:
                convert_to_bf16(values, result.span<std::uint16_t>());
                break;
            default:
                failure("cannot convert a tensor of {} to {}", name_of(type_), name_of(type));
        }
    };
    if (type_ == DType::f32)
        from_f32(span<float>());
    else
        from_f32(as_floats(*this));
    return result;
}

Tensor Tensor::reshaped(Shape shape) const {
    if (element_count(shape) != count())
        failure("cannot see a tensor of shape {} as {}", to_string(shape_), to_string(shape));
    Tensor result = *this;
    result.shape_ = std::move(shape);
    return result;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
    if (shape_.empty() || begin < 0 || end < begin || end > shape_[0])
        failure("rows {} to {} of a tensor of shape {}", begin, end, to_string(shape_));
    Tensor result = *this;
    const std::size_t row_bytes = shape_[0] == 0 ? 0 : bytes() / static_cast<std::size_t>(shape_[0]);
    result.shape_[0] = end - begin;
    result.data_ = static_cast<std::byte*>(data_) + static_cast<std::size_t>(begin) * row_bytes;
    return result;
}

void Tensor::check_element_size(std::size_t size) const {
    if (size != size_of(type_)) failure("elements of {} read with {} bytes each", name_of(type_), size);
}

}  // namespace reprise
