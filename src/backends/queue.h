#pragma once

#include <cstdint>
#include <span>

#include "backends/value.h"

namespace reprise::backends {

/// What one run has its backend do: in this order, and perhaps later. Used by one thread at a time. Values
/// are of this backend. Those that are read may be let go of at once; the queue keeps them until then. What
/// failed is thrown by the next function that waits.
class Queue {
  public:
    Queue() = default;
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;
    /// Waits.
    virtual ~Queue() = default;

    /// A tensor as a value. Where memory is the host's it is the same memory; elsewhere it is read at once.
    virtual Value from_host(const Tensor& tensor) = 0;
    /// After the next `wait`, `into` has the elements. It has the value's type and shape.
    virtual void read(const Value& value, Tensor into) = 0;
    /// The elements, now: waits. Where memory is the host's it is the same memory.
    virtual Tensor to_host(const Value& value) = 0;
    /// Returns when everything is done.
    virtual void wait() = 0;

    /// A value of its own, which later runs leave as it is.
    virtual Value copy(const Value& value) = 0;
    /// Rows [begin, end) of the first dimension, as long as the value stays as it is.
    virtual Value rows(const Value& value, std::int64_t begin, std::int64_t end) = 0;

    struct Term {
        const Value* value = nullptr;
        float weight = 0;
    };
    /// The sum of weight * value, in f32 and in this order, rounded to their type. The result is in the
    /// memory of `target`, if it has any, or in another. No term is in that memory.
    virtual void combine(Value& target, std::span<const Term> terms) = 0;

    // Numbers about values: these wait.

    /// The mean of |a|.
    virtual double magnitude(const Value& a) = 0;
    /// The mean of |a - b|, of equal shapes and types.
    virtual double difference(const Value& a, const Value& b) = 0;
    virtual bool has_nan(const Value& a) = 0;
};

}  // namespace reprise::backends
