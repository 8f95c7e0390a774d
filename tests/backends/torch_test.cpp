// Single operations on every backend in f32 against what PyTorch gave: fixtures/backends/ops.json, written
// by parity/ops.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "backends/support.h"
#include "reprise/error.h"

namespace reprise::test {

namespace {

using graph::Op;
using nlohmann::json;

Tensor tensor_of(const json& entry) {
    const auto shape = entry.at("shape").get<Shape>();
    if (entry.at("integers").get<bool>())
        return Tensor::from(shape, entry.at("data").get<std::vector<std::int64_t>>());
    return Tensor::from(shape, entry.at("data").get<std::vector<float>>());
}

Op op_of(const json& entry) {
    for (int i = 0; i <= static_cast<int>(Op::module_output); ++i)
        if (name_of(static_cast<Op>(i)) == entry.at("op").get<std::string>()) return static_cast<Op>(i);
    throw std::runtime_error("unknown operation in the fixture");
}

graph::Unary unary_of(const std::string& name) {
    const std::vector<std::string> names = {"silu",    "gelu", "gelu_tanh", "quick_gelu",
                                            "sigmoid", "tanh", "relu"};
    return static_cast<graph::Unary>(std::find(names.begin(), names.end(), name) - names.begin());
}

graph::Binary binary_of(const std::string& name) {
    const std::vector<std::string> names = {"add", "subtract", "multiply", "divide"};
    return static_cast<graph::Binary>(std::find(names.begin(), names.end(), name) - names.begin());
}

graph::Attributes attributes_of(Op op, const json& a) {
    using Sizes = std::vector<std::int64_t>;
    const auto integer = [&](const char* key) { return a.at(key).get<std::int64_t>(); };
    const auto sizes = [&](const char* key) { return a.at(key).get<Sizes>(); };
    const auto real = [&](const char* key) { return a.at(key).get<float>(); };
    switch (op) {
        case Op::convolution:
            return graph::ConvolutionAttrs{sizes("stride"), sizes("begin"), sizes("end"), integer("groups")};
        case Op::group_norm:
            return graph::NormAttrs{integer("groups"), real("epsilon")};
        case Op::layer_norm:
        case Op::rms_norm:
            return graph::NormAttrs{1, real("epsilon")};
        case Op::unary:
            return graph::UnaryAttrs{unary_of(a.at("function"))};
        case Op::binary:
            return graph::BinaryAttrs{binary_of(a.at("function"))};
        case Op::affine:
            return graph::AffineAttrs{real("scale"), real("shift")};
        case Op::attention:
            return graph::AttentionAttrs{integer("heads"), real("scale"), a.at("causal").get<bool>()};
        case Op::softmax:
        case Op::concat:
            return graph::AxisAttrs{integer("axis")};
        case Op::slice:
            return graph::SliceAttrs{integer("axis"), integer("begin"), integer("end")};
        case Op::repeat:
            return graph::RepeatAttrs{integer("axis"), integer("times")};
        case Op::reshape:
            return graph::ShapeAttrs{sizes("shape")};
        case Op::transpose:
            return graph::TransposeAttrs{sizes("permutation")};
        case Op::pad:
            return graph::PadAttrs{sizes("begin"), sizes("end")};
        case Op::upsample_nearest:
            return graph::UpsampleAttrs{integer("height"), integer("width")};
        default:
            return {};
    }
}

TEST(Backends, AgreeWithTorch) {
    std::ifstream file(std::string(REPRISE_FIXTURES) + "/backends/ops.json");
    const json cases = json::parse(file);
    ASSERT_GE(cases.size(), 49U);
    for (const auto& name : backends::available())
        for (const json& entry : cases) {
            SCOPED_TRACE(fmt::format("{} on {}", entry.at("name").get<std::string>(), name));
            RawGraph raw;
            std::vector<Tensor> inputs;
            std::vector<graph::NodeId> ids;
            for (const json& input : entry.at("inputs")) {
                inputs.push_back(tensor_of(input));
                ids.push_back(raw.input(inputs.back().shape(), inputs.back().type()));
            }
            const Op op = op_of(entry);
            raw.output(raw.add(op, ids, attributes_of(op, entry.at("attributes"))));
            if (name == "openvino" && trips_on_isa_limit(raw.graph)) continue;
            const auto outputs = run(*backend_named(name), raw.graph, inputs, DType::f32);
            const double tolerance = name == "reference" ? 2e-6 : 1e-5;
            EXPECT_LE(relative_error(outputs[0], tensor_of(entry.at("output"))), tolerance);
        }
}

}  // namespace

}  // namespace reprise::test
