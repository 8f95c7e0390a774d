// What backend.h promises besides results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <thread>

#include "backends/support.h"
#include "reprise/error.h"

namespace reprise::test {

namespace {

using backends::Value;
using graph::Builder;
using graph::Op;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Contract : public testing::TestWithParam<std::string> {
  protected:
    const backends::Backend& backend() const { return *backend_named(GetParam()); }

    /// The message of the Error that `action` throws, which is of one line and of that kind.
    template <class Action>
    static std::string error_of(ErrorKind kind, const Action& action) {
        try {
            action();
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), kind);
            EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
            return error.what();
        }
        ADD_FAILURE() << "no Error was thrown";
        return {};
    }
};

/// y = conv(silu(norm(x))) + x, with an intermediate value as second output.
graph::Graph small_graph(DType precision = DType::f32) {
    Builder b("small", precision, nullptr);
    const graph::Value x = b.real_input("x", {2, 8, 6, 6});
    const graph::Value h = b.silu(b.group_norm(x, "norm", 4, 1e-5F));
    b.output("y", b.conv2d(h, "conv", 8, 3) + x);
    b.output("h", h);
    graph::Graph graph = b.finish();
    fill_constants(graph);
    return graph;
}

TEST_P(Contract, NamesItselfAndItsCpu) {
    EXPECT_EQ(backend().name(), GetParam());
    EXPECT_THAT(backend().devices(), testing::Contains("CPU"));
    EXPECT_NO_THROW(backend().check_precision("CPU", DType::f32));
    EXPECT_NO_THROW(backend().check_precision("CPU", backend().preferred_precision("CPU")));
}

TEST_P(Contract, RefusesWhatItCannot) {
    const auto graph = small_graph();
    EXPECT_THAT(error_of(ErrorKind::usage, [&] { backend().compile(graph, {.device = "TOASTER"}); }),
                AllOf(HasSubstr("TOASTER"), HasSubstr("CPU")));
    EXPECT_THAT(error_of(ErrorKind::usage, [&] { backend().preferred_precision("TOASTER"); }),
                HasSubstr("TOASTER"));
    EXPECT_THAT(error_of(ErrorKind::usage, [&] { backend().check_precision("CPU", DType::i8); }),
                AllOf(HasSubstr("i8"), HasSubstr("f32")));
}

TEST_P(Contract, RefusesGraphsOfAnotherPrecision) {
    const auto graph = small_graph(DType::bf16);
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { backend().compile(graph, {}); }),
                AllOf(HasSubstr("small"), HasSubstr("bf16"), HasSubstr("f32")));
}

TEST_P(Contract, RefusesGraphsWithoutWeights) {
    Builder b("hollow", DType::f32, nullptr);
    b.output("y", b.linear(b.real_input("x", {1, 4}), "fc", 4));
    const auto graph = b.finish();
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { backend().compile(graph, {}); }),
                AllOf(HasSubstr("hollow"), HasSubstr("fc.weight")));
}

TEST_P(Contract, SaysInOneLineWhatItCannotCompute) {
    RawGraph raw;  // a convolution over four dimensions
    const auto x = raw.input({1, 1, 3, 3, 3, 3}), w = raw.input({1, 1, 1, 1, 1, 1});
    const std::vector<std::int64_t> ones(4, 1), zeros(4, 0);
    raw.output(raw.add(Op::convolution, {x, w}, graph::ConvolutionAttrs{ones, zeros, zeros, 1}));
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { backend().compile(raw.graph, {}); }), HasSubstr("raw: "));
}

TEST_P(Contract, ChecksWhatItRunsOver) {
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    Runner runner(backend(), *executable);
    const auto value = [&](DType type, const Shape& shape) {
        return runner.queue().from_host(Tensor(type, shape));
    };
    const Shape shape = {2, 8, 6, 6};
    const auto message_of = [&](std::vector<Value> inputs, std::vector<Value> outputs) {
        return error_of(ErrorKind::failure, [&] { runner.run(inputs, outputs); });
    };
    EXPECT_THAT(message_of({value(DType::f32, {2, 8, 6})}, std::vector<Value>(2)),
                AllOf(HasSubstr("small"), HasSubstr("(2, 8, 6)"), HasSubstr("(2, 8, 6, 6)")));
    EXPECT_THAT(message_of({value(DType::f32, shape)}, {Value(), value(DType::f16, shape)}),
                AllOf(HasSubstr("small"), HasSubstr("output 1"), HasSubstr("f16"), HasSubstr("f32")));
    EXPECT_THAT(message_of({Value()}, std::vector<Value>(2)), HasSubstr("'x'"));
    EXPECT_THAT(message_of({}, std::vector<Value>(2)), AllOf(HasSubstr("0 inputs"), HasSubstr("expected 1")));
    EXPECT_THAT(message_of({value(DType::f32, shape)}, {}),
                AllOf(HasSubstr("0 outputs"), HasSubstr("expected 2")));
}

TEST_P(Contract, UsesMemoryOfTheHostAsItIs) {
    if (!backend().traits("CPU").host_memory) GTEST_SKIP() << "its memory is elsewhere";
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    Runner runner(backend(), *executable);
    Tensor x = random_tensor({2, 8, 6, 6}, 5), y(DType::f32, {2, 8, 6, 6});
    const std::vector<Value> inputs = {runner.queue().from_host(x)};
    std::vector<Value> outputs = {Value(y), Value()};
    runner.run(inputs, outputs);
    EXPECT_EQ(inputs[0].host().data(), x.data());
    EXPECT_EQ(outputs[0].host().data(), y.data());
    const Tensor first = y.clone();

    // New numbers in the same memory are seen, and results are in the same memory.
    const void* const second_output = outputs[1].host().data();
    const Tensor other = random_tensor({2, 8, 6, 6}, 6);
    std::memcpy(x.data(), other.data(), x.bytes());
    runner.run(inputs, outputs);
    EXPECT_EQ(outputs[0].host().data(), y.data());
    EXPECT_EQ(outputs[1].host().data(), second_output);
    EXPECT_EQ(relative_error(y, run(backend(), graph, {other}, DType::f32)[0]), 0);
    EXPECT_GT(relative_error(y, first), 0.01);
}

TEST_P(Contract, SlotsHoldTheResultOfTheLastRun) {
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    Runner runner(backend(), *executable);
    std::vector<Value> slots(2);  // with the memory of the run before
    std::vector<Tensor> results;
    for (const unsigned seed : {1U, 2U, 1U}) {
        runner.run({runner.queue().from_host(random_tensor({2, 8, 6, 6}, seed))}, slots);
        EXPECT_EQ(slots[0].shape(), (Shape{2, 8, 6, 6}));
        results.push_back(runner.queue().to_host(slots[0]).clone());
    }
    EXPECT_EQ(relative_error(results[2], results[0]), 0);
    EXPECT_GT(relative_error(results[1], results[0]), 0.01);
}

TEST_P(Contract, OneRequestsOutputIsAnothersInput) {
    Builder b("second", DType::f32, nullptr);
    b.output("z", b.silu(b.real_input("y", {2, 8, 6, 6})));
    const auto first = small_graph(), second = b.finish();
    const auto first_executable = backend().compile(first, {}),
               second_executable = backend().compile(second, {});
    const auto queue = backend().queue({});
    Runner producer(*queue, *first_executable), consumer(*queue, *second_executable);
    const Tensor x = random_tensor({2, 8, 6, 6}, 1);
    std::vector<Value> slots(2), z(1);
    producer.run({queue->from_host(x)}, slots);
    consumer.run({slots[0]}, z);
    const auto y = run(backend(), first, {x}, DType::f32);
    EXPECT_EQ(relative_error(queue->to_host(slots[0]), y[0]), 0);
    EXPECT_EQ(relative_error(queue->to_host(z[0]), run(backend(), second, {y[0]}, DType::f32)[0]), 0);
}

TEST_P(Contract, ReadsWhatAValueHoldsWhenItIsItsTurn) {
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    Runner runner(backend(), *executable);
    std::vector<Value> slots(2);
    std::vector<Tensor> results;
    for (const unsigned seed : {1U, 2U}) {  // the second run may be in the memory of the first
        runner.run({runner.queue().from_host(random_tensor({2, 8, 6, 6}, seed))}, slots);
        runner.queue().read(slots[0], results.emplace_back(DType::f32, Shape{2, 8, 6, 6}));
    }
    runner.queue().wait();
    for (const unsigned seed : {1U, 2U})
        EXPECT_EQ(relative_error(results[seed - 1],
                                 run(backend(), graph, {random_tensor({2, 8, 6, 6}, seed)}, DType::f32)[0]),
                  0);
}

/// Sums in f32 and in order, and numbers about values. Large ones are computed by several threads.
TEST_P(Contract, ComputesWithValues) {
    const auto queue = backend().queue({});
    for (const DType type : {DType::f32, DType::bf16, DType::f16})
        for (const Shape& shape : {Shape{2, 5, 3, 7}, Shape{3, 300'007}}) {
            SCOPED_TRACE(fmt::format("{} {}", name_of(type), to_string(shape)));
            const Tensor a = random_tensor(shape, 1).to(type), b = random_tensor(shape, 2).to(type),
                         c = random_tensor(shape, 3).to(type);
            const Value values[] = {queue->from_host(a), queue->from_host(b), queue->from_host(c)};
            const Tensor f[] = {a.to(DType::f32), b.to(DType::f32), c.to(DType::f32)};

            Tensor sum(DType::f32, shape);
            double magnitude = 0, difference = 0;
            for (std::size_t i = 0; i < sum.span<float>().size(); ++i) {
                const float x = f[0].span<float>()[i], y = f[1].span<float>()[i], z = f[2].span<float>()[i];
                sum.span<float>()[i] = 0.0F + 3.0F * x + -3.25F * y + 0.7F * z;
                magnitude += std::abs(x);
                difference += std::abs(x - y);
            }
            Value target;
            queue->combine(target, std::vector<backends::Queue::Term>{
                                       {&values[0], 3}, {&values[1], -3.25F}, {&values[2], 0.7F}});
            EXPECT_EQ(target.type(), type);
            EXPECT_EQ(relative_error(queue->to_host(target), sum.to(type)), 0);
            const auto count = static_cast<double>(a.count());
            EXPECT_EQ(queue->magnitude(values[0]), magnitude / count);
            EXPECT_EQ(queue->difference(values[0], values[1]), difference / count);

            const Value copy = queue->copy(target);
            queue->combine(target, std::vector<backends::Queue::Term>{{&values[0], 1}});
            EXPECT_EQ(relative_error(queue->to_host(copy), sum.to(type)), 0);
            EXPECT_EQ(relative_error(queue->to_host(target), a), 0);
            EXPECT_EQ(relative_error(queue->to_host(queue->rows(values[0], 1, 2)), a.rows(1, 2)), 0);

            EXPECT_FALSE(queue->has_nan(values[0]));
            Tensor bad = a.to(DType::f32).clone();
            bad.span<float>()[bad.span<float>().size() - 2] = std::numeric_limits<float>::quiet_NaN();
            EXPECT_TRUE(queue->has_nan(queue->from_host(bad.to(type))));
        }
}

TEST_P(Contract, ThreadsRunTwoRequestsAtOnce) {
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    std::vector<Tensor> inputs, expected;
    for (unsigned seed = 0; seed < 2; ++seed) {
        inputs.push_back(random_tensor({2, 8, 6, 6}, seed));
        expected.push_back(run(backend(), graph, {inputs[seed]}, DType::f32)[0]);
    }
    std::vector<double> errors(2, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 2; ++t)
        threads.emplace_back([&, t] {
            Runner runner(backend(), *executable);
            for (int repetition = 0; repetition < 50; ++repetition)
                errors[t] = std::max(errors[t], relative_error(runner({inputs[t]}, 2)[0], expected[t]));
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(errors[0], 0);
    EXPECT_EQ(errors[1], 0);
}

TEST_P(Contract, ThreadsCompileWhileAnotherRuns) {
    const auto graph = small_graph();
    const Tensor x = random_tensor({2, 8, 6, 6}, 1);
    const auto expected = run(backend(), graph, {x}, DType::f32);
    double error = 0;
    std::thread other([&] {
        for (int i = 0; i < 5; ++i)
            error = std::max(error, relative_error(run(backend(), graph, {x}, DType::f32)[0], expected[0]));
    });
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(relative_error(run(backend(), graph, {x}, DType::f32)[0], expected[0]), 0);
    other.join();
    EXPECT_EQ(error, 0);
}

TEST_P(Contract, RunsAfterMemoryWasReleased) {
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    Runner runner(backend(), *executable);
    const Tensor x = random_tensor({2, 8, 6, 6}, 1);
    const Tensor before = runner({x}, 2)[0];
    executable->release_memory();
    EXPECT_EQ(relative_error(runner({x}, 2)[0], before), 0);
}

TEST_P(Contract, OutlivesWhatItWasMadeFrom) {
    const Tensor x = random_tensor({2, 8, 6, 6}, 1);
    const auto expected = run(backend(), small_graph(), {x}, DType::f32);
    std::optional<Runner> runner;
    {
        const auto own = make_backend(GetParam());
        const auto graph = small_graph();
        runner.emplace(*own, *own->compile(graph, {}));
    }
    EXPECT_EQ(relative_error((*runner)({x}, 2)[0], expected[0]), 0);
}

TEST_P(Contract, ThreadsAreAnOption) {
    const auto graph = small_graph();
    const Tensor x = random_tensor({2, 8, 6, 6}, 1);
    const auto executable = backend().compile(graph, {.threads = 1});
    const Tensor y = Runner(backend(), *executable)({x}, 2)[0];
    EXPECT_LE(relative_error(y, run(backend(), graph, {x}, DType::f32)[0]), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, Contract, testing::ValuesIn(all_backends()),
                         [](const auto& parameter) { return parameter.param; });

TEST(Registry, ListsAndCreates) {
    const auto names = backends::available();
    EXPECT_THAT(names, testing::Contains("reference"));
    for (const auto& name : names) EXPECT_EQ(backends::create(name)->name(), name);
    try {
        backends::create("abacus");
        FAIL() << "no Error was thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("abacus"), HasSubstr("reference")));
    }
}

TEST(Registry, SaysWhatWasNotBuilt) {
    const auto names = backends::available();
    if (std::find(names.begin(), names.end(), "openvino") != names.end()) GTEST_SKIP() << "all are built";
    try {
        backends::create("openvino");
        FAIL() << "no Error was thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("openvino"), HasSubstr("not built")));
    }
}

}  // namespace

}  // namespace reprise::test
