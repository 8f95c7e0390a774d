#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "reprise/dtype.h"

#pragma GCC visibility push(default)

namespace reprise {

/// Sizes of the dimensions, outermost first. Empty for a scalar.
using Shape = std::vector<std::int64_t>;

/// Product of the dimensions (1 for a scalar).
std::int64_t element_count(const Shape& shape);
/// "(1, 4, 16, 16)".
std::string to_string(const Shape& shape);

/// A dense row-major array. A Tensor is a cheap handle on shared memory: a copy of the handle shares the
/// elements, and `clone` copies them. Memory that Tensor allocates is 64-byte aligned. Access is not
/// synchronised.
class Tensor {
  public:
    /// No tensor at all: `defined()` is false.
    Tensor() = default;
    /// Allocates zeroed memory.
    Tensor(DType type, Shape shape);
    /// A view of memory that `owner` keeps alive, such as a mapped file. Do not write through `data()` unless
    /// the owner allows it.
    static Tensor view(DType type, Shape shape, void* data, std::shared_ptr<void> owner);
    /// An f32 tensor with these values. Error (failure) when the count differs from the shape's.
    static Tensor from(Shape shape, std::span<const float> values);
    /// An i64 tensor with these values.
    static Tensor from(Shape shape, std::span<const std::int64_t> values);

    bool defined() const { return data_ != nullptr; }
    DType type() const { return type_; }
    const Shape& shape() const { return shape_; }
    std::int64_t dim(std::size_t axis) const { return shape_.at(axis); }
    std::size_t rank() const { return shape_.size(); }
    std::int64_t count() const { return element_count(shape_); }
    std::size_t bytes() const { return static_cast<std::size_t>(count()) * size_of(type_); }

    void* data() { return data_; }
    const void* data() const { return data_; }
    /// The elements as T. Error (failure) when T does not have the size of this type.
    template <class T>
    std::span<T> span() {
        check_element_size(sizeof(T));
        return {static_cast<T*>(data_), static_cast<std::size_t>(count())};
    }
    template <class T>
    std::span<const T> span() const {
        check_element_size(sizeof(T));
        return {static_cast<const T*>(data_), static_cast<std::size_t>(count())};
    }

    /// A copy of the elements in memory of its own.
    Tensor clone() const;
    /// A copy in another floating type (rounded to nearest even). The same handle when the type is equal.
    Tensor to(DType type) const;
    /// The same elements with another shape, in the same memory. Error (failure) when the counts differ.
    Tensor reshaped(Shape shape) const;
    /// Rows [begin, end) of the first dimension, in the same memory.
    Tensor rows(std::int64_t begin, std::int64_t end) const;

  private:
    void check_element_size(std::size_t size) const;

    DType type_ = DType::f32;
    Shape shape_;
    void* data_ = nullptr;
    std::shared_ptr<void> owner_;
};

}  // namespace reprise

#pragma GCC visibility pop
