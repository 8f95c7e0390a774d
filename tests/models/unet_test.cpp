#include <set>

#include "cachify/support.h"
#include "core/captured_log.h"
#include "core/map_weights.h"
#include "graph/module.h"
#include "models/registry.h"
#include "models/unet2d_condition.h"
#include "support.h"

namespace reprise::models {
namespace {

using testing::expect_close;
using ::testing::HasSubstr;
using testing::ModelFixture;
using testing::run;

DenoiserShape shape_of(const ModelFixture& fixture) {
    const Tensor sample = fixture.tensor("in.sample");
    return {sample.dim(0), sample.dim(2), sample.dim(3), fixture.tensor("in.encoder_hidden_states").dim(1)};
}

std::vector<Tensor> inputs_of(const Denoiser& denoiser, const ModelFixture& fixture) {
    return testing::inputs_of(denoiser, shape_of(fixture), fixture);
}

class UNetParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(UNetParity, EqualsDiffusers) {
    const auto& [name, backend] = GetParam();
    const ModelFixture fixture(name);
    const auto denoiser = make_denoiser("UNet2DConditionModel", fixture.config);
    const auto graph = denoiser->build(shape_of(fixture), DType::f32, &fixture.weights);
    const auto results = run(backend, graph, inputs_of(*denoiser, fixture));
    expect_close(results.at("sample"), fixture.tensor("out.sample"), name);
}

INSTANTIATE_TEST_SUITE_P(Cases, UNetParity,
                         ::testing::Combine(::testing::Values("unet_sdxl", "unet_sdxl_odd", "unet_sd1",
                                                              "unet_sd2", "unet_asymmetric",
                                                              "unet_scale_shift", "unet_mid_resnet"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

class UNetModules : public ::testing::TestWithParam<std::string> {};

// Every unit of reuse has the name, kind, outputs and values of diffusers' module.
TEST_P(UNetModules, OutputsEqualThoseOfDiffusersHooks) {
    const ModelFixture fixture("unet_sdxl");
    const auto classes = Json::parse(fixture.expected.metadata().at("classes"));
    const auto denoiser = make_denoiser("UNet2DConditionModel", fixture.config);
    auto graph = denoiser->build(shape_of(fixture), DType::f32, &fixture.weights);

    std::set<std::string> names;
    for (const auto& module : graph.modules) {
        if (module.kind == graph::ModuleKind::other) continue;
        names.insert(module.name);
        ASSERT_TRUE(classes.contains(module.name)) << module.name;
        const auto diffusers_class = classes.at(module.name).get<std::string>();
        if (diffusers_class == "Attention") {
            EXPECT_EQ(module.kind, module.name.ends_with("attn1") ? graph::ModuleKind::self_attention
                                                                  : graph::ModuleKind::cross_attention);
        } else {
            EXPECT_EQ(module.kind, kind_of_class(diffusers_class)) << module.name;
        }
        EXPECT_EQ(module.invocations, 1) << module.name;
        EXPECT_EQ(module.inputs.size(), module.outputs.size()) << module.name;
        for (std::size_t i = 0; i < module.outputs.size(); ++i)
            graph.outputs.push_back({fmt::format("{}.{}", module.name, i), module.outputs[i]});
        EXPECT_FALSE(fixture.has(fmt::format("module.{}.{}", module.name, module.outputs.size())));
    }
    EXPECT_EQ(names.size(), classes.size());

    for (const auto& [name, result] : run(GetParam(), graph, inputs_of(*denoiser, fixture))) {
        if (name == "sample") continue;
        const auto shape = fixture.tensor("shape." + name);
        EXPECT_THAT(result.shape(), ::testing::ElementsAreArray(shape.span<std::int64_t>())) << name;
        const auto beginning = fixture.tensor("module." + name);
        EXPECT_LT(testing::relative_difference(result.span<float>(), beginning.span<float>()),
                  testing::kModuleTolerance)
            << name;
    }
}

INSTANTIATE_TEST_SUITE_P(Backends, UNetModules, ::testing::ValuesIn(backends::available()),
                         testing::backend_name);

// A whole step in bf16 at the timestep where a sinusoidal embedding in bf16 would be off by 1.9.
TEST(UNetPrecision, Bf16StepAt999IsCloseToF32) {
    const std::string backend = backends::available().front();
    const auto engine = backends::create(backend);
    if (!testing::error_of([&] { engine->check_precision("CPU", DType::bf16); }).empty())
        GTEST_SKIP() << "no native bf16 here";
    const ModelFixture fixture("unet_sdxl_odd");
    ASSERT_EQ(fixture.tensor("in.timestep").span<float>()[0], 999);
    const auto denoiser = make_denoiser("UNet2DConditionModel", fixture.config);
    const auto graph = denoiser->build(shape_of(fixture), DType::bf16, &fixture.weights);
    const auto results = run(backend, graph, inputs_of(*denoiser, fixture), DType::bf16);

    const Tensor expected = fixture.tensor("out.sample");
    double noise = 0;
    double peak = 0;
    for (std::size_t i = 0; i < expected.span<float>().size(); ++i) {
        const double difference = results.at("sample").span<float>()[i] - expected.span<float>()[i];
        noise += difference * difference / static_cast<double>(expected.count());
        peak = std::max(peak, std::abs(static_cast<double>(expected.span<float>()[i])));
    }
    const double psnr = 10 * std::log10(peak * peak / noise);
    RecordProperty("psnr", std::to_string(psnr));
    EXPECT_GT(psnr, 35);
    EXPECT_LT(psnr, 90) << "computed in f32?";
}

// What the planner hoists: text keys and values and the added embedding read neither latents nor timestep.
TEST(UNetGraph, TextKeysAndAddedEmbeddingDependOnConditioningOnly) {
    const ModelFixture fixture("unet_sdxl");
    const auto graph =
        make_denoiser("UNet2DConditionModel", fixture.config)->build(shape_of(fixture), DType::f32, nullptr);
    std::vector<bool> changes(graph.nodes.size(), false);
    for (std::size_t i = 0; i < graph.inputs.size(); ++i)
        changes[static_cast<std::size_t>(graph.inputs[i])] = graph.input(i).when == graph::When::step;
    int fixed_keys_and_values = 0;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        const auto& node = graph.nodes[i];
        for (const auto input : node.inputs)
            if (changes[static_cast<std::size_t>(input)]) changes[i] = true;
        const std::string& module = graph.modules[static_cast<std::size_t>(node.module)].name;
        if (node.op != graph::Op::linear) continue;
        if (module.ends_with("attn2.to_k") || module.ends_with("attn2.to_v")) {
            EXPECT_FALSE(changes[i]) << module;
            ++fixed_keys_and_values;
        }
        if (module.starts_with("add_embedding")) {
            EXPECT_FALSE(changes[i]) << module;
        }
    }
    // Transformers: 2 x 1 and 2 x 2 down, 2 mid, 3 x 2 and 3 x 1 up.
    EXPECT_EQ(fixed_keys_and_values, 2 * (2 * 1 + 2 * 2 + 2 + 3 * 2 + 3 * 1));
    EXPECT_TRUE(changes[static_cast<std::size_t>(graph.outputs[0].node)]);
}

TEST(UNetGraph, DeltaStreamsFitTheOutputsWhereShapesAgree) {
    const ModelFixture fixture("unet_sdxl");
    const auto graph =
        make_denoiser("UNet2DConditionModel", fixture.config)->build(shape_of(fixture), DType::f32, nullptr);
    const auto& block = graph.modules[static_cast<std::size_t>(graph.find_module("down_blocks.0"))];
    ASSERT_EQ(block.outputs.size(), 4U);  // hidden state, two resnets, downsampler
    EXPECT_EQ(graph[block.inputs[1]].shape, graph[block.outputs[1]].shape);
    EXPECT_NE(graph[block.inputs[0]].shape, graph[block.outputs[0]].shape);
    EXPECT_EQ(graph[block.outputs[0]].shape, graph[block.outputs[3]].shape);
}

TEST(UNetGraph, MissingLeftOverAndMisshapenWeightsAreNamed) {
    const ModelFixture fixture("unet_scale_shift");
    MapWeights::Map weights;
    for (const auto& name : fixture.weights.names()) weights.emplace(name, *fixture.weights.find(name));
    const auto build = [&](const MapWeights::Map& map) {
        const MapWeights source(map, "unet folder");
        make_denoiser("UNet2DConditionModel", fixture.config)->build(shape_of(fixture), DType::f32, &source);
    };
    const auto message = [&](const MapWeights::Map& map) {
        return testing::usage_message([&] { build(map); });
    };
    auto missing = weights;
    missing.erase("up_blocks.0.resnets.1.conv1.weight");
    EXPECT_THAT(message(missing), HasSubstr("up_blocks.0.resnets.1.conv1.weight"));
    auto left_over = weights;
    left_over.emplace("mid_block.resnets.0.conv1.weight", Tensor(DType::f32, {2, 2}));
    EXPECT_THAT(test::logged([&] { build(left_over); }), HasSubstr("mid_block.resnets.0.conv1.weight"));
    auto misshapen = weights;
    misshapen["conv_in.bias"] = Tensor(DType::f32, {7});
    EXPECT_THAT(message(misshapen), HasSubstr("conv_in.bias"));
}

}  // namespace
}  // namespace reprise::models
