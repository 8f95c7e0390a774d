// Every case on every backend and precision of this build, against the reference backend.
#include <gtest/gtest.h>

#include "backends/cases.h"
#include "backends/support.h"
#include "reprise/error.h"

namespace reprise::test {

namespace {

struct Engine {
    std::string backend;
    DType precision;

    friend void PrintTo(const Engine& engine, std::ostream* out) { *out << engine.backend; }
};

std::vector<Engine> engines() {
    std::vector<Engine> result;
    for (const auto& name : all_backends())
        if (name != "reference")
            for (const DType precision : {DType::f32, DType::bf16}) result.push_back({name, precision});
    return result;
}

std::vector<Case> all_cases() {
    std::vector<Case> result = operation_cases();
    for (auto& entry : graph_cases()) result.push_back(std::move(entry));
    return result;
}

class Conformance : public testing::TestWithParam<std::tuple<Engine, Case>> {};

TEST_P(Conformance, AgreesWithReference) {
    const auto& [engine, entry] = GetParam();
    const auto backend = backend_named(engine.backend);
    if (!computes_in(*backend, engine.precision))
        GTEST_SKIP() << engine.backend << " has no native " << name_of(engine.precision) << " here";

    graph::Graph graph = entry.build(engine.precision);
    fill_constants(graph);
    if (engine.backend == "openvino" && trips_on_isa_limit(graph))
        GTEST_SKIP() << "the engine crashes on this under ONEDNN_MAX_CPU_ISA";
    const auto inputs = random_inputs(graph, kRows);
    const auto expected = run(*backend_named("reference"), graph, inputs, engine.precision);
    const auto found = run(*backend, graph, inputs, engine.precision);
    double tolerance = engine.precision == DType::f32 ? entry.f32_tolerance : entry.bf16_tolerance;
    if (engine.backend == "elsewhere") tolerance = 0;  // the same arithmetic
    for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_LE(relative_error(found[i], expected[i]), tolerance) << "output " << i;
}

std::string name_of_case(const testing::TestParamInfo<std::tuple<Engine, Case>>& parameter) {
    const Engine& engine = std::get<0>(parameter.param);
    return fmt::format("{}_{}_{}", engine.backend, name_of(engine.precision),
                       std::get<1>(parameter.param).name);
}

INSTANTIATE_TEST_SUITE_P(All, Conformance,
                         testing::Combine(testing::ValuesIn(engines()), testing::ValuesIn(all_cases())),
                         name_of_case);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Conformance);

}  // namespace

}  // namespace reprise::test
