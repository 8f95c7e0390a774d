#pragma once

#include <cstddef>
#include <cstdint>

#include "reprise/tensor.h"

namespace reprise::pipelines {

/// How many elements lie one after the other for each index of an axis.
std::size_t elements_after(const Shape& shape, std::size_t axis);

/// The latents of one video, (1, ...) with its frames along `axis`, as those of pictures: (frames, ...).
Tensor frames_first(const Tensor& latents, std::size_t axis);

/// The latents of one picture, (1, ...), as those of a video that shows it in each of its frames, which lie
/// along `axis`.
Tensor for_each_frame(const Tensor& latents, std::int64_t frames, std::size_t axis);

}  // namespace reprise::pipelines
