#include "pipelines/frames.h"

#include <algorithm>

namespace reprise::pipelines {

namespace {

using Difference = Shape::difference_type;

std::size_t product(Shape::const_iterator begin, Shape::const_iterator end) {
    std::size_t result = 1;
    for (; begin != end; ++begin) result *= static_cast<std::size_t>(*begin);
    return result;
}

}  // namespace

std::size_t elements_after(const Shape& shape, std::size_t axis) {
    return product(shape.begin() + static_cast<Difference>(axis) + 1, shape.end());
}

Tensor frames_first(const Tensor& latents, std::size_t axis) {
    Shape shape = latents.shape();
    const auto frames = static_cast<std::size_t>(shape.at(axis));
    const std::size_t inner = elements_after(shape, axis);
    const std::size_t outer = product(shape.begin(), shape.begin() + static_cast<Difference>(axis));
    shape.erase(shape.begin() + static_cast<Difference>(axis));
    shape.front() = static_cast<std::int64_t>(frames);
    if (outer == 1) return latents.reshaped(shape);
    Tensor result(DType::f32, shape);
    auto out = result.span<float>().begin();
    for (std::size_t frame = 0; frame < frames; ++frame)
        for (std::size_t o = 0; o < outer; ++o)
            out = std::copy_n(
                latents.span<float>().begin() + static_cast<std::ptrdiff_t>((o * frames + frame) * inner),
                inner, out);
    return result;
}

Tensor for_each_frame(const Tensor& latents, std::int64_t frames, std::size_t axis) {
    Shape shape = latents.shape();
    shape.insert(shape.begin() + static_cast<Difference>(axis), frames);
    const std::size_t inner = elements_after(shape, axis);
    Tensor result(DType::f32, shape);
    auto out = result.span<float>().begin();
    const auto values = latents.span<float>();
    for (std::size_t o = 0; o < values.size(); o += inner)
        for (std::int64_t frame = 0; frame < frames; ++frame)
            out = std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(o), inner, out);
    return result;
}

}  // namespace reprise::pipelines
