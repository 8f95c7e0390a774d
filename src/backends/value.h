#pragma once

#include <memory>
#include <utility>

#include "reprise/error.h"
#include "reprise/tensor.h"

namespace reprise::backends {

/// An array in the memory of a backend: a cheap handle, as Tensor is. Where memory is the host's it is a
/// tensor. Elsewhere it is what the backend derives from `Memory`, and no pointer to it means anything here.
/// How elements are laid out there is a pure function of the backend's of type and shape, so that all who
/// read the value know it.
class Value {
  public:
    class Memory {
      public:
        Memory() = default;
        Memory(const Memory&) = delete;
        Memory& operator=(const Memory&) = delete;
        virtual ~Memory() = default;
    };

    /// No value at all: `defined()` is false.
    Value() = default;
    explicit Value(Tensor host)
        : type_(host.type()), shape_(host.shape()), is_defined_(host.defined()), host_(std::move(host)) {}
    Value(DType type, Shape shape, std::shared_ptr<Memory> memory)
        : type_(type), shape_(std::move(shape)), is_defined_(memory != nullptr), memory_(std::move(memory)) {}

    bool defined() const { return is_defined_; }
    DType type() const { return type_; }
    const Shape& shape() const { return shape_; }
    std::size_t bytes() const { return static_cast<std::size_t>(element_count(shape_)) * size_of(type_); }
    bool is_on_host() const { return host_.defined(); }
    /// Its elements. Error (failure) when they are elsewhere.
    const Tensor& host() const {
        if (!is_on_host()) failure("a value of {} is not in the host's memory", to_string(shape_));
        return host_;
    }
    /// Null where memory is the host's.
    const std::shared_ptr<Memory>& memory() const { return memory_; }

  private:
    DType type_ = DType::f32;
    Shape shape_;
    bool is_defined_ = false;
    Tensor host_;
    std::shared_ptr<Memory> memory_;
};

}  // namespace reprise::backends
