// What backend.h promises besides results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "backends/support.h"
#include "reprise/error.h"

namespace reprise::test {

namespace {

using graph::Builder;
using graph::Op;
using graph::Value;
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
    const Value x = b.real_input("x", {2, 8, 6, 6});
    const Value h = b.silu(b.group_norm(x, "norm", 4, 1e-5F));
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

TEST_P(Contract, ChecksWhatIsBound) {
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    const auto request = executable->request();
    const Tensor right(DType::f32, {2, 8, 6, 6}), wrong_shape(DType::f32, {2, 8, 6}),
        wrong_type(DType::f16, {2, 8, 6, 6});
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { request->bind_input(0, wrong_shape); }),
                AllOf(HasSubstr("small"), HasSubstr("(2, 8, 6)"), HasSubstr("(2, 8, 6, 6)")));
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { request->bind_output(1, wrong_type); }),
                AllOf(HasSubstr("small"), HasSubstr("f16"), HasSubstr("f32")));
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { request->bind_input(1, right); }), HasSubstr("input 1"));
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { request->bind_output(0, Tensor()); }), HasSubstr("'y'"));
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { request->run(); }), HasSubstr("'x'"));
    request->bind_input(0, right);
    request->bind_output(0, right.clone());
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { request->run(); }), HasSubstr("'h'"));
}

TEST_P(Contract, BindsMemoryWithoutCopying) {
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    const auto request = executable->request();
    Tensor x = random_tensor({2, 8, 6, 6}, 5);
    const auto outputs = output_tensors(graph);
    request->bind_input(0, x);
    for (std::size_t i = 0; i < outputs.size(); ++i) request->bind_output(i, outputs[i]);
    request->run();
    const Tensor first = outputs[0].clone();

    // New numbers in the same memory are seen, and results land in the same memory.
    const Tensor other = random_tensor({2, 8, 6, 6}, 6);
    std::memcpy(x.data(), other.data(), x.bytes());
    request->run();
    EXPECT_EQ(relative_error(outputs[0], run(backend(), graph, {other}, DType::f32)[0]), 0);
    EXPECT_GT(relative_error(outputs[0], first), 0.01);
}

TEST_P(Contract, RebindsBetweenRuns) {
    const auto graph = small_graph();
    const auto executable = backend().compile(graph, {});
    const auto request = executable->request();
    std::vector<Tensor> results;
    for (const unsigned seed : {1U, 2U, 1U}) {
        const auto outputs = output_tensors(graph);
        request->bind_input(0, random_tensor({2, 8, 6, 6}, seed));
        for (std::size_t i = 0; i < outputs.size(); ++i) request->bind_output(i, outputs[i]);
        request->run();
        results.push_back(outputs[0]);
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
    const auto producer = first_executable->request(), consumer = second_executable->request();
    const Tensor x = random_tensor({2, 8, 6, 6}, 1), slot(DType::f32, {2, 8, 6, 6}), z = slot.clone();
    producer->bind_input(0, x);
    producer->bind_output(0, slot);
    producer->bind_output(1, slot.clone());
    consumer->bind_input(0, slot);
    consumer->bind_output(0, z);
    producer->run();
    consumer->run();
    const auto y = run(backend(), first, {x}, DType::f32);
    EXPECT_EQ(relative_error(slot, y[0]), 0);
    EXPECT_EQ(relative_error(z, run(backend(), second, {y[0]}, DType::f32)[0]), 0);
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
            const auto request = executable->request();
            const auto outputs = output_tensors(graph);
            request->bind_input(0, inputs[t]);
            for (std::size_t i = 0; i < outputs.size(); ++i) request->bind_output(i, outputs[i]);
            for (int repetition = 0; repetition < 50; ++repetition) {
                request->run();
                errors[t] = std::max(errors[t], relative_error(outputs[0], expected[t]));
            }
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
    const auto request = executable->request();
    const auto outputs = output_tensors(graph);
    request->bind_input(0, random_tensor({2, 8, 6, 6}, 1));
    for (std::size_t i = 0; i < outputs.size(); ++i) request->bind_output(i, outputs[i]);
    request->run();
    const Tensor before = outputs[0].clone();
    executable->release_memory();
    request->run();
    EXPECT_EQ(relative_error(outputs[0], before), 0);
}

TEST_P(Contract, OutlivesWhatItWasMadeFrom) {
    const Tensor x = random_tensor({2, 8, 6, 6}, 1);
    const auto expected = run(backend(), small_graph(), {x}, DType::f32);
    std::unique_ptr<backends::Request> request;
    {
        const auto own = backends::create(GetParam());
        const auto graph = small_graph();
        request = own->compile(graph, {})->request();
    }
    const auto outputs = output_tensors(small_graph());
    request->bind_input(0, x);
    for (std::size_t i = 0; i < outputs.size(); ++i) request->bind_output(i, outputs[i]);
    request->run();
    EXPECT_EQ(relative_error(outputs[0], expected[0]), 0);
}

TEST_P(Contract, ThreadsAreAnOption) {
    const auto graph = small_graph();
    const Tensor x = random_tensor({2, 8, 6, 6}, 1);
    const auto executable = backend().compile(graph, {.threads = 1});
    const auto request = executable->request();
    const auto outputs = output_tensors(graph);
    request->bind_input(0, x);
    for (std::size_t i = 0; i < outputs.size(); ++i) request->bind_output(i, outputs[i]);
    request->run();
    EXPECT_LE(relative_error(outputs[0], run(backend(), graph, {x}, DType::f32)[0]), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, Contract, testing::ValuesIn(backends::available()),
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
