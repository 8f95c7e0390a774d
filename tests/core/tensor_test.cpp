#include "reprise/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reprise/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tensor counting(Shape shape) {
    Tensor tensor(DType::f32, std::move(shape));
    for (std::size_t i = 0; i < tensor.span<float>().size(); ++i)
        tensor.span<float>()[i] = static_cast<float>(i);
    return tensor;
}

/// The message of the failure that `action` must end in; it is one line.
std::string failure_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::failure);
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

TEST(DTypes, SizesAndNames) {
    EXPECT_EQ(size_of(DType::f64), 8U);
    EXPECT_EQ(size_of(DType::f32), 4U);
    EXPECT_EQ(size_of(DType::bf16), 2U);
    EXPECT_EQ(size_of(DType::boolean), 1U);
    EXPECT_EQ(name_of(DType::bf16), "bf16");
    EXPECT_EQ(name_of(DType::boolean), "bool");
    EXPECT_TRUE(is_floating(DType::f16));
    EXPECT_FALSE(is_floating(DType::i64));
}

TEST(Shapes, CountAndText) {
    EXPECT_EQ(element_count({}), 1);
    EXPECT_EQ(element_count({2, 0, 3}), 0);
    EXPECT_EQ(to_string(Shape{1, 4, 16}), "(1, 4, 16)");
    EXPECT_EQ(to_string(Shape{}), "()");
}

TEST(Tensor, StartsZeroedAndAligned) {
    for (const Shape& shape : {Shape{}, Shape{3, 5}, Shape{0}}) {
        const Tensor tensor(DType::f32, shape);
        EXPECT_TRUE(tensor.defined());
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64, 0U);
        for (const float value : tensor.span<float>()) EXPECT_EQ(value, 0.0F);
    }
    EXPECT_FALSE(Tensor().defined());
}

TEST(Tensor, HandlesShareAndCloneCopies) {
    Tensor tensor = counting({4});
    Tensor handle = tensor;
    Tensor copy = tensor.clone();
    tensor.span<float>()[2] = 9.0F;
    EXPECT_EQ(handle.span<float>()[2], 9.0F);
    EXPECT_EQ(copy.span<float>()[2], 2.0F);
}

TEST(Tensor, ViewKeepsItsOwnerAlive) {
    auto owner = std::make_shared<std::array<float, 2>>(std::array<float, 2>{1.0F, 2.0F});
    const std::weak_ptr<void> watch = owner;
    {
        const Tensor view = Tensor::view(DType::f32, {2}, owner->data(), owner);
        owner.reset();
        EXPECT_FALSE(watch.expired());
        EXPECT_THAT(view.rows(1, 2).span<float>(), ElementsAre(2.0F));
    }
    EXPECT_TRUE(watch.expired());
}

TEST(Tensor, FromChecksTheCount) {
    const std::vector<float> values{1, 2, 3};
    EXPECT_THAT(Tensor::from({3}, values).span<float>(), ElementsAre(1, 2, 3));
    EXPECT_THAT(failure_of([&] {
                    Tensor::from({2, 2}, values);
                }),
                HasSubstr("3 values given for a tensor of shape (2, 2)"));
    const std::vector<std::int64_t> ids{5, 6};
    EXPECT_THAT(Tensor::from({2}, ids).span<std::int64_t>(), ElementsAre(5, 6));
}

TEST(Tensor, RowsShareMemory) {
    Tensor tensor = counting({3, 2});
    Tensor rows = tensor.rows(1, 3);
    EXPECT_EQ(rows.shape(), (Shape{2, 2}));
    EXPECT_THAT(rows.span<float>(), ElementsAre(2, 3, 4, 5));
    rows.span<float>()[0] = 7.0F;
    EXPECT_EQ(tensor.span<float>()[2], 7.0F);
    EXPECT_EQ(tensor.rows(1, 1).count(), 0);
    EXPECT_THAT(failure_of([&] { tensor.rows(2, 4); }), HasSubstr("rows 2 to 4 of a tensor of shape (3, 2)"));
    EXPECT_THAT(failure_of([&] { tensor.rows(-1, 2); }), HasSubstr("rows -1"));
    EXPECT_THAT(failure_of([&] { tensor.rows(2, 1); }), HasSubstr("rows 2 to 1"));
    EXPECT_THAT(failure_of([] { Tensor(DType::f32, {}).rows(0, 1); }), HasSubstr("shape ()"));
}

TEST(Tensor, ReshapedKeepsTheElements) {
    const Tensor tensor = counting({2, 3});
    EXPECT_THAT(tensor.reshaped({3, 2}).span<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_EQ(tensor.reshaped({6}).data(), tensor.data());
    EXPECT_THAT(failure_of([&] { tensor.reshaped({4}); }), HasSubstr("(2, 3) as (4)"));
}

TEST(Tensor, ToConvertsBetweenFloatingTypes) {
    const std::vector<float> values{1.0F, -2.5F, 65504.0F, 0.333333343F};
    const Tensor f32 = Tensor::from({4}, values);
    EXPECT_EQ(f32.to(DType::f32).data(), f32.data());
    EXPECT_THAT(f32.to(DType::f16).span<std::uint16_t>(), ElementsAre(0x3c00, 0xc100, 0x7bff, 0x3555));
    EXPECT_THAT(f32.to(DType::bf16).span<std::uint16_t>(), ElementsAre(0x3f80, 0xc020, 0x4780, 0x3eab));
    EXPECT_THAT(f32.to(DType::f16).to(DType::f32).span<float>(),
                ElementsAre(1.0F, -2.5F, 65504.0F, 0.33325195F));
    EXPECT_THAT(f32.to(DType::f16).to(DType::bf16).span<std::uint16_t>(),
                ElementsAre(0x3f80, 0xc020, 0x4780, 0x3eab));
    Tensor f64(DType::f64, {1});
    f64.span<double>()[0] = 0.1;
    EXPECT_THAT(f64.to(DType::f32).span<float>(), ElementsAre(0.1F));
}

TEST(Tensor, ToRefusesOtherTypes) {
    EXPECT_THAT(failure_of([] { Tensor(DType::i64, {2}).to(DType::f32); }), HasSubstr("i64"));
    EXPECT_THAT(failure_of([] { Tensor(DType::f32, {2}).to(DType::i32); }), HasSubstr("f32 to i32"));
}

TEST(Tensor, SpanChecksTheElementSize) {
    const Tensor tensor(DType::f16, {2});
    EXPECT_THAT(failure_of([&] { static_cast<void>(tensor.span<float>()); }),
                HasSubstr("f16 read with 4 bytes"));
}

#ifndef __SANITIZE_ADDRESS__  // which ends the program at such a request
TEST(Tensor, RefusesMoreMemoryThanThereIs) {
    EXPECT_THAT(failure_of([] { Tensor(DType::f64, {std::int64_t{1} << 50}); }), HasSubstr("out of memory"));
}
#endif

}  // namespace
}  // namespace reprise
