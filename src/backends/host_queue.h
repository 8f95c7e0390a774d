#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "backends/queue.h"

namespace reprise::backends {

/// Arithmetic on tensors of the host, on up to so many threads where it takes long enough.
namespace host {

/// The sum of weight * value, in f32 and in this order, rounded to the type of `target`. All have its shape
/// and type, which is f32, bf16 or f16, and memory of their own.
void combine(Tensor& target, std::span<const Queue::Term> terms, std::size_t threads = 1);
/// The means of |a| and of |a - b|, of elements as f32, summed in their order.
double magnitude(const Tensor& a);
double difference(const Tensor& a, const Tensor& b);
bool has_nan(const Tensor& a, std::size_t threads = 1);

}  // namespace host

/// The queue of backends whose memory is the host's: everything is done at once. `threads`: 0: as many as
/// there are cores for the process.
std::unique_ptr<Queue> host_queue(int threads);

}  // namespace reprise::backends
