#include "cachify/measure.h"

#include <cmath>

namespace reprise::cachify {

namespace {

std::size_t place(Seen seen) {
    return static_cast<std::size_t>(seen);
}

}  // namespace

void HostMeasure::show(Seen what, const Tensor& tensor) {
    const Tensor real = tensor.to(DType::f32);
    const auto values = real.span<float>();
    values_[place(what)].assign(values.begin(), values.end());
}

double HostMeasure::difference(Seen a, Seen b) const {
    const auto& x = values_[place(a)];
    const auto& y = values_[place(b)];
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::abs(x[i] - y[i]);
    return x.empty() ? 0 : sum / static_cast<double>(x.size());
}

double HostMeasure::magnitude(Seen a) const {
    const auto& values = values_[place(a)];
    double sum = 0;
    for (const float value : values) sum += std::abs(value);
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

void HostMeasure::remember(Seen what, Seen as) {
    values_[place(as)] = values_[place(what)];
}

}  // namespace reprise::cachify
