#pragma once

#include <cstddef>

#include "reprise/tensor.h"

namespace reprise {

/// f of the elements of f32 tensors of one shape.
template <class F, class... Rest>
Tensor map(F f, const Tensor& first, const Rest&... rest) {
    Tensor result(DType::f32, first.shape());
    const auto out = result.span<float>();
    [&](const auto... in) {
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = f(in[i]...);
    }(first.span<float>().data(), rest.template span<float>().data()...);
    return result;
}

}  // namespace reprise
