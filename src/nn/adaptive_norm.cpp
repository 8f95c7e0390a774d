#include "nn/adaptive_norm.h"

namespace reprise::nn {

using graph::Builder;
using graph::Value;

std::vector<Value> modulations(Builder& b, std::string_view name, Value condition, std::int64_t count,
                               std::int64_t width) {
    const Value all = b.linear(condition, name, count * width);
    return b.split(b.reshape(all, {condition.dim(0), 1, count * width}), count, -1);
}

Value modulated(Value x, Value scale, Value shift) {
    return x * (scale + 1.0F) + shift;
}

Value ada_layer_norm_continuous(Builder& b, std::string_view name, Value x, Value condition) {
    const auto scope = b.module(name);
    const auto vectors = modulations(b, "linear", condition, 2, x.dim(-1));
    return modulated(b.layer_norm(x, "norm", kAdaptiveNormEpsilon, false), vectors[0], vectors[1]);
}

}  // namespace reprise::nn
