#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/compiled.h"
#include "files/checkpoint.h"
#include "files/json.h"
#include "files/safetensors.h"
#include "models/denoiser.h"
#include "models/weight_names.h"
#include "reprise/error.h"

namespace reprise::testing {

/// A case of tests/parity/models.py.
struct ModelFixture {
    /// With weights under current names, where a class has others.
    explicit ModelFixture(const std::string& name, std::string_view class_name = "")
        : folder(std::string(REPRISE_FIXTURES) + "/models/" + name),
          config(Config::load(folder + "/config.json")),
          opened(renamed(std::make_shared<Checkpoint>(folder), models::name_rule(class_name))),
          weights(*opened),
          expected(folder + "/expected.safetensors") {}

    /// A copy with memory of its own, as backends want it.
    Tensor tensor(const std::string& name) const {
        const auto found = expected.find(name);
        if (!found) throw std::runtime_error("no tensor " + name + " in " + folder);
        return found->clone();
    }
    bool has(const std::string& name) const { return expected.find(name).has_value(); }

    std::string folder;
    Config config;
    std::shared_ptr<const WeightSource> opened;
    const WeightSource& weights;
    SafetensorsFile expected;
};

using Results = std::map<std::string, Tensor>;

/// Compiles the graph and runs it once over its inputs.
inline Results run(const std::string& backend, const graph::Graph& graph, const std::vector<Tensor>& inputs,
                   DType precision = DType::f32) {
    const backends::Engine engine{backends::create(backend), {.threads = 1, .precision = precision}};
    const auto outputs =
        backends::Compiled::run(std::make_shared<const backends::Compiled>(graph, engine), inputs);
    Results results;
    for (std::size_t i = 0; i < outputs.size(); ++i) results[graph.outputs[i].name] = outputs[i];
    return results;
}

/// The values of a denoiser's inputs, in order, from a fixture's "in." tensors.
template <class Fixture>
std::vector<Tensor> inputs_of(const models::Denoiser& denoiser, const models::DenoiserShape& shape,
                              const Fixture& fixture) {
    models::Conditioning conditioning;
    for (const char* name :
         {models::kText, models::kTextMask, models::kPooledText, models::kTimeIds, models::kImageLatents})
        if (fixture.has(std::string("in.") + name))
            conditioning[name] = fixture.tensor(std::string("in.") + name);
    const models::NamedTensors fixed = denoiser.fixed_inputs(conditioning);
    const auto step = denoiser.step_inputs(fixture.tensor("in.sample"),
                                           fixture.tensor("in.timestep").template span<float>()[0]);
    std::vector<Tensor> result;
    std::size_t next = 0;
    for (const auto& input : denoiser.inputs(shape))
        result.push_back(input.when == graph::When::fixed ? fixed.at(input.name) : step.at(next++));
    EXPECT_EQ(next, step.size());
    EXPECT_EQ(result.size(), fixed.size() + step.size());
    return result;
}

/// max|a - b| / max|b|; infinite where a is not finite.
inline double relative_difference(std::span<const float> a, std::span<const float> b) {
    double difference = 0;
    double largest = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
        const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        difference = std::max(difference, std::isfinite(d) ? d : HUGE_VAL);
        largest = std::max(largest, std::abs(static_cast<double>(b[i])));
    }
    return difference / largest;
}

inline constexpr double kModuleTolerance = 1e-4;

inline void expect_close(const Tensor& result, const Tensor& expected, const std::string& what) {
    ASSERT_EQ(result.shape(), expected.shape()) << what;
    EXPECT_LT(relative_difference(result.span<float>(), expected.span<float>()), kModuleTolerance) << what;
}

/// The one-line message of the usage error that `action` throws; a test failure when it throws none.
template <class Action>
std::string usage_message(Action&& action) {
    try {
        action();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        return error.what();
    }
    ADD_FAILURE() << "no error";
    return {};
}

/// Names of a parameterised test's backend, and of a pair of one and a case.
inline std::string backend_name(const ::testing::TestParamInfo<std::string>& info) {
    return info.param;
}
inline std::string case_name(const ::testing::TestParamInfo<std::tuple<std::string, std::string>>& info) {
    return std::get<0>(info.param) + "_" + std::get<1>(info.param);
}

}  // namespace reprise::testing
