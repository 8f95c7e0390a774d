// That the tests' backend whose memory is elsewhere does what it is for.
#include <gtest/gtest.h>

#include <cmath>

#include "backends/elsewhere_backend.h"
#include "backends/support.h"

namespace reprise::test {
namespace {

using backends::Value;

TEST(ElsewhereThreads, NothingIsThereBeforeSomebodyWaits) {
    const auto backend = backend_named("elsewhere");
    const auto queue = backend->queue({});
    const Tensor x = random_tensor({2, 3, 4, 5}, 1);
    const Value value = queue->from_host(x);
    Tensor read(DType::f32, x.shape());
    queue->read(value, read);
    for (const float element : read.span<float>()) ASSERT_TRUE(std::isnan(element));
    queue->wait();
    EXPECT_EQ(relative_error(read, x), 0);
}

TEST(ElsewhereThreads, NoPointerToItIsValid) {
    const auto queue = backend_named("elsewhere")->queue({});
    const Value value = queue->from_host(random_tensor({2, 3}, 1));
    EXPECT_FALSE(value.is_on_host());
    EXPECT_THROW(value.host(), Error);
}

TEST(ElsewhereThreads, EachRunGivesNewMemory) {
    const auto backend = backend_named("elsewhere");
    graph::Builder b("twice", DType::f32, nullptr);
    b.output("y", b.real_input("x", {2, 3}) * 2.0F);
    const auto executable = backend->compile(b.finish(), {});
    Runner runner(*backend, *executable);
    const Tensor one = random_tensor({2, 3}, 1), two = random_tensor({2, 3}, 2);
    std::vector<Value> slots(1);
    runner.run({runner.queue().from_host(one)}, slots);
    const Value before = slots[0];
    runner.run({runner.queue().from_host(two)}, slots);
    EXPECT_NE(slots[0].memory(), before.memory());
    const Tensor first = runner.queue().to_host(before), second = runner.queue().to_host(slots[0]);
    for (std::size_t i = 0; i < 6; ++i) {
        EXPECT_EQ(first.span<float>()[i], 2 * one.span<float>()[i]);
        EXPECT_EQ(second.span<float>()[i], 2 * two.span<float>()[i]);
    }
}

TEST(ElsewhereThreads, WhatFailedIsThrownByWhoWaits) {
    const auto backend = backend_named("elsewhere");
    RawGraph raw;  // a row that the table does not have
    const auto table = raw.input({3, 2});
    raw.output(raw.add(graph::Op::gather, {table, raw.input({1}, DType::i64)}));
    const auto executable = backend->compile(raw.graph, {});
    Runner runner(*backend, *executable);
    std::vector<Value> slots(1);
    const Tensor rows = Tensor::from({1}, std::vector<std::int64_t>{3});
    runner.run({runner.queue().from_host(Tensor(DType::f32, {3, 2})), runner.queue().from_host(rows)}, slots);
    EXPECT_THROW(runner.queue().wait(), Error);
    EXPECT_NO_THROW(runner.queue().wait());
}

}  // namespace
}  // namespace reprise::test
