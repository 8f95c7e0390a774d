#include "nn/patches.h"

namespace reprise::nn {

using graph::Builder;
using graph::Value;

Value picture_to_patches(Builder& b, std::string_view name, Value x, std::int64_t side, std::int64_t width) {
    x = b.convolution(x, name, {width, {side, side}, {side, side}, {}, true});
    return b.transpose(b.reshape(x, {x.dim(0), width, x.dim(2) * x.dim(3)}), {0, 2, 1});
}

Value patches_to_picture(Builder& b, Value x, std::int64_t rows, std::int64_t columns, std::int64_t side) {
    const auto batch = x.dim(0);
    const auto channels = x.dim(2) / (side * side);
    x = b.reshape(x, {batch, rows, columns, side, side, channels});
    x = b.transpose(x, {0, 5, 1, 3, 2, 4});
    return b.reshape(x, {batch, channels, rows * side, columns * side});
}

}  // namespace reprise::nn
