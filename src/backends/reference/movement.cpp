// Operations that only move elements.
#include <algorithm>

#include "backends/nearest.h"
#include "backends/reference/kernels.h"
#include "reprise/error.h"

namespace reprise::backends::reference {

namespace {

using graph::Op;

template <class T>
void concat_of(const Call& call) {
    const auto along = call.node.attrs<graph::AxisAttrs>().axis;
    const Axis to(call.node.shape, along);
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < call.node.inputs.size(); ++i) {
        const Axis from(call.shape(i), along);
        const std::int64_t block = from.size * from.inner;
        for (std::int64_t o = 0; o < from.outer; ++o)
            std::copy_n(call.in<T>(i) + o * block, block, call.out<T>() + (o * to.size + begin) * to.inner);
        begin += from.size;
    }
}

template <class T>
void slice_of(const Call& call) {
    const auto& attrs = call.node.attrs<graph::SliceAttrs>();
    const Axis from(call.shape(0), attrs.axis);
    const std::int64_t block = (attrs.end - attrs.begin) * from.inner;
    for (std::int64_t o = 0; o < from.outer; ++o)
        std::copy_n(call.in<T>(0) + (o * from.size + attrs.begin) * from.inner, block,
                    call.out<T>() + o * block);
}

template <class T>
void repeat_of(const Call& call) {
    const auto& attrs = call.node.attrs<graph::RepeatAttrs>();
    const Axis from(call.shape(0), attrs.axis);
    T* out = call.out<T>();
    for (std::int64_t row = 0; row < from.outer * from.size; ++row)
        for (std::int64_t t = 0; t < attrs.times; ++t)
            out = std::copy_n(call.in<T>(0) + row * from.inner, from.inner, out);
}

template <class T>
void transpose_of(const Call& call) {
    const auto& permutation = call.node.attrs<graph::TransposeAttrs>().permutation;
    const Shape& from = call.shape(0);
    const Shape& to = call.node.shape;
    std::vector<std::int64_t> strides(from.size(), 1);
    for (std::size_t d = from.size(); d-- > 1;) strides[d - 1] = strides[d] * from[d];

    std::vector<std::int64_t> index(to.size(), 0);
    const std::int64_t count = element_count(to);
    for (std::int64_t i = 0; i < count; ++i) {
        std::int64_t source = 0;
        for (std::size_t d = 0; d < to.size(); ++d)
            source += index[d] * strides[static_cast<std::size_t>(permutation[d])];
        call.out<T>()[i] = call.in<T>(0)[source];
        for (std::size_t d = to.size(); d-- > 0 && ++index[d] == to[d];) index[d] = 0;
    }
}

template <class T>
void pad_of(const Call& call) {
    const auto& attrs = call.node.attrs<graph::PadAttrs>();
    const Shape& from = call.shape(0);
    const Shape& to = call.node.shape;
    std::fill_n(call.out<T>(), element_count(to), T{0});
    std::vector<std::int64_t> index(from.size(), 0);
    const std::int64_t count = element_count(from);
    for (std::int64_t i = 0; i < count; ++i) {
        std::int64_t target = 0;
        for (std::size_t d = 0; d < from.size(); ++d) target = target * to[d] + index[d] + attrs.begin[d];
        call.out<T>()[target] = call.in<T>(0)[i];
        for (std::size_t d = from.size(); d-- > 0 && ++index[d] == from[d];) index[d] = 0;
    }
}

template <class T>
void upsample_of(const Call& call) {
    const auto& attrs = call.node.attrs<graph::UpsampleAttrs>();
    const Shape& from = call.shape(0);
    const std::int64_t height = from[from.size() - 2], width = from[from.size() - 1];
    const std::int64_t planes = element_count(call.node.shape) / (attrs.height * attrs.width);
    T* out = call.out<T>();
    for (std::int64_t p = 0; p < planes; ++p)
        for (std::int64_t y = 0; y < attrs.height; ++y) {
            const T* row = call.in<T>(0) + (p * height + nearest_source(y, height, attrs.height)) * width;
            for (std::int64_t x = 0; x < attrs.width; ++x)
                *out++ = row[nearest_source(x, width, attrs.width)];
        }
}

template <class T>
void gather_of(const Call& call) {
    const std::int64_t rows = call.shape(0)[0];
    const std::int64_t width = element_count(call.shape(0)) / rows;
    const std::int64_t count = element_count(call.shape(1));
    T* out = call.out<T>();
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t id = call.in<std::int64_t>(1)[i];
        if (id < 0 || id >= rows)
            failure("{}: gather reads row {} of a table of {}", call.graph.name, id, rows);
        out = std::copy_n(call.in<T>(0) + id * width, width, out);
    }
}

}  // namespace

void concat(const Call& call) {
    call.node.type == DType::i64 ? concat_of<std::int64_t>(call) : concat_of<float>(call);
}
void slice(const Call& call) {
    call.node.type == DType::i64 ? slice_of<std::int64_t>(call) : slice_of<float>(call);
}
void repeat(const Call& call) {
    call.node.type == DType::i64 ? repeat_of<std::int64_t>(call) : repeat_of<float>(call);
}
void transpose(const Call& call) {
    call.node.type == DType::i64 ? transpose_of<std::int64_t>(call) : transpose_of<float>(call);
}
void pad(const Call& call) {
    call.node.type == DType::i64 ? pad_of<std::int64_t>(call) : pad_of<float>(call);
}
void upsample_nearest(const Call& call) {
    call.node.type == DType::i64 ? upsample_of<std::int64_t>(call) : upsample_of<float>(call);
}
void gather(const Call& call) {
    call.node.type == DType::i64 ? gather_of<std::int64_t>(call) : gather_of<float>(call);
}

}  // namespace reprise::backends::reference
