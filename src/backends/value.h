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
    explicit Value(Tensor host) : host_(std::move(host)) {}
    Value(DType type, Shape shape, std::shared_ptr<Memory> memory)
        : type_(type), shape_(std::move(shape)), memory_(std::move(memory)) {}

    bool defined() const { return is_on_host() || memory_ != nullptr; }
    DType type() const { return is_on_host() ? host_.type() : type_; }
    const Shape& shape() const { return is_on_host() ? host_.shape() : shape_; }
    std::size_t bytes() const { return static_cast<std::size_t>(element_count(shape())) * size_of(type()); }
    bool is_on_host() const { return host_.defined(); }
    /// Its elements. Error (failure) when they are elsewhere.
    const Tensor& host() const {
        if (!is_on_host()) failure("a value of {} is not in the host's memory", to_string(shape_));
        return host_;
    }
    /// Null where memory is the host's.
    const std::shared_ptr<Memory>& memory() const { return memory_; }

  private:
    Tensor host_;
    DType type_ = DType::f32;  ///< of what is elsewhere
    Shape shape_;              ///< likewise
    std::shared_ptr<Memory> memory_;
};

}  // namespace reprise::backends
