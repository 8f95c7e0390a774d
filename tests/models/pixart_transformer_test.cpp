#include "models/pixart_transformer.h"

#include <set>

#include "core/captured_log.h"
#include "core/map_weights.h"
#include "models/registry.h"
#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::ModelFixture;
using testing::run;

constexpr const char* kClass = "PixArtTransformer2DModel";

DenoiserShape shape_of(const ModelFixture& fixture) {
    const Tensor sample = fixture.tensor("in.sample");
    return {sample.dim(0), sample.dim(2), sample.dim(3), fixture.tensor("in.encoder_hidden_states").dim(1)};
}

std::vector<Tensor> inputs_of(const Denoiser& denoiser, const ModelFixture& fixture) {
    return testing::inputs_of(denoiser, shape_of(fixture), fixture);
}

class PixArtParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(PixArtParity, EqualsDiffusers) {
    const auto& [name, backend] = GetParam();
    const ModelFixture fixture(name);
    const auto denoiser = make_denoiser(kClass, fixture.config);
    const auto graph = denoiser->build(shape_of(fixture), DType::f32, &fixture.weights);
    const auto results = run(backend, graph, inputs_of(*denoiser, fixture));
    expect_close(results.at("sample"), fixture.tensor("out.sample"), name);
    EXPECT_EQ(denoiser->traits().out_channels, results.at("sample").dim(1));
    EXPECT_EQ(denoiser->traits().time_ids, fixture.has("in.time_ids") ? 3 : 0);
}

INSTANTIATE_TEST_SUITE_P(Cases, PixArtParity,
                         ::testing::Combine(::testing::Values("pixart", "pixart_sizes", "pixart_128",
                                                              "pixart_patch_1"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

class PixArtModules : public ::testing::TestWithParam<std::string> {};

// Every unit of reuse has the name, kind, outputs and values of diffusers' module.
TEST_P(PixArtModules, OutputsEqualThoseOfDiffusersHooks) {
    const ModelFixture fixture("pixart");
    const auto classes = Json::parse(fixture.expected.metadata().at("classes"));
    const auto denoiser = make_denoiser(kClass, fixture.config);
    auto graph = denoiser->build(shape_of(fixture), DType::f32, &fixture.weights);

    std::set<std::string> names;
    for (const auto& module : graph.modules) {
        if (module.kind == graph::ModuleKind::other) continue;
        names.insert(module.name);
        ASSERT_TRUE(classes.contains(module.name)) << module.name;
        const auto diffusers_class = classes.at(module.name).get<std::string>();
        if (diffusers_class == "BasicTransformerBlock")
            EXPECT_EQ(module.kind, graph::ModuleKind::block) << module.name;
        else if (diffusers_class == "Attention")
            EXPECT_EQ(module.kind, module.name.ends_with("attn1") ? graph::ModuleKind::self_attention
                                                                  : graph::ModuleKind::cross_attention);
        else
            EXPECT_EQ(module.kind, kind_of_class(diffusers_class)) << module.name;
        EXPECT_EQ(module.invocations, 1) << module.name;
        ASSERT_EQ(module.inputs.size(), 1U) << module.name;
        ASSERT_EQ(module.outputs.size(), 1U) << module.name;
        EXPECT_EQ(graph[module.inputs[0]].shape, graph[module.outputs[0]].shape) << module.name;
        graph.outputs.push_back({module.name + ".0", module.outputs[0]});
    }
    EXPECT_EQ(names.size(), classes.size());

    for (const auto& [output, result] : run(GetParam(), graph, inputs_of(*denoiser, fixture))) {
        if (output == "sample") continue;
        const auto shape = fixture.tensor("shape." + output);
        EXPECT_THAT(result.shape(), ::testing::ElementsAreArray(shape.span<std::int64_t>())) << output;
        const auto beginning = fixture.tensor("module." + output);
        EXPECT_LT(testing::relative_difference(result.span<float>(), beginning.span<float>()),
                  testing::kModuleTolerance)
            << output;
    }
}

INSTANTIATE_TEST_SUITE_P(Backends, PixArtModules, ::testing::ValuesIn(backends::available()),
                         testing::backend_name);

// What the planner hoists: the caption's projection, each block's keys and values, the sizes' embeddings.
TEST(PixArtGraph, TextDependsOnConditioningOnly) {
    const ModelFixture fixture("pixart_sizes");
    const auto graph = make_denoiser(kClass, fixture.config)->build(shape_of(fixture), DType::f32, nullptr);
    std::vector<bool> changes(graph.nodes.size(), false);
    for (std::size_t i = 0; i < graph.inputs.size(); ++i)
        changes[static_cast<std::size_t>(graph.inputs[i])] = graph.input(i).when == graph::When::step;
    std::set<std::string> fixed;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        const auto& node = graph.nodes[i];
        for (const auto input : node.inputs)
            if (changes[static_cast<std::size_t>(input)]) changes[i] = true;
        if (node.op == graph::Op::linear && !changes[i])
            fixed.insert(graph.modules[static_cast<std::size_t>(node.module)].name);
    }
    EXPECT_THAT(fixed, ::testing::UnorderedElementsAre(
                           "caption_projection.linear_1", "caption_projection.linear_2",
                           "adaln_single.emb.resolution_embedder.linear_1",
                           "adaln_single.emb.resolution_embedder.linear_2",
                           "adaln_single.emb.aspect_ratio_embedder.linear_1",
                           "adaln_single.emb.aspect_ratio_embedder.linear_2",
                           "transformer_blocks.0.attn2.to_k", "transformer_blocks.0.attn2.to_v",
                           "transformer_blocks.1.attn2.to_k", "transformer_blocks.1.attn2.to_v"));
}

TEST(PixArtGraph, MissingAndLeftOverWeightsAreNamed) {
    const ModelFixture fixture("pixart");
    MapWeights::Map weights;
    for (const auto& name : fixture.weights.names()) weights.emplace(name, *fixture.weights.find(name));
    const auto build = [&](const MapWeights::Map& map) {
        const MapWeights source(map, "transformer folder");
        make_denoiser(kClass, fixture.config)->build(shape_of(fixture), DType::f32, &source);
    };
    auto missing = weights;
    missing.erase("transformer_blocks.1.scale_shift_table");
    EXPECT_THAT(testing::usage_message([&] { build(missing); }),
                HasSubstr("transformer_blocks.1.scale_shift_table"));
    auto left_over = weights;
    left_over.emplace("adaln_single.emb.resolution_embedder.linear_1.weight", Tensor(DType::f32, {2, 2}));
    EXPECT_THAT(test::logged([&] { build(left_over); }), HasSubstr("resolution_embedder"));
}

TEST(PixArtGraph, ShapesThatCannotBeComputedAreRefused) {
    const auto denoiser = make_denoiser(kClass, ModelFixture("pixart").config);
    const auto message = [&](const DenoiserShape& shape) {
        return testing::usage_message([&] { denoiser->build(shape, DType::f32, nullptr); });
    };
    EXPECT_THAT(message({1, 8, 7, 77}), AllOf(HasSubstr("8 x 7"), HasSubstr("patches of 2")));
    EXPECT_THAT(message({0, 8, 8, 77}), HasSubstr("batches of 0"));
    EXPECT_THAT(message({1, 8, 8, 0}), HasSubstr("text"));
}

PixArtTransformerConfig read(const Json& json) {
    return PixArtTransformerConfig::from({json, "transformer/config.json"});
}

TEST(PixArtConfig, DefaultsAreThoseOfDiffusers) {
    const auto config = read(Json::object());
    EXPECT_EQ(config.num_layers, 28);
    EXPECT_EQ(config.width(), 1152);
    EXPECT_EQ(config.text_width(), 1152);
    EXPECT_EQ(config.predicted_channels(), 4);
    EXPECT_EQ(config.interpolation_scale, 2);
    EXPECT_TRUE(config.use_additional_conditions);
    EXPECT_FALSE(read({{"sample_size", 64}}).use_additional_conditions);
    EXPECT_EQ(read({{"sample_size", 32}}).interpolation_scale, 1);
    EXPECT_EQ(read({{"out_channels", nullptr}}).predicted_channels(), 4);
    EXPECT_EQ(read({{"interpolation_scale", nullptr}}).interpolation_scale, 2);
    EXPECT_TRUE(read({{"use_additional_conditions", nullptr}}).use_additional_conditions);
    EXPECT_FALSE(read({{"attention_bias", nullptr}}).block.attention_bias);
}

TEST(PixArtConfig, TheClassesOldNameMeansTheSame) {
    const Config config = {{{"_class_name", "Transformer2DModel"}, {"sample_size", 64}}, "config.json"};
    EXPECT_EQ(make_denoiser("Transformer2DModel", config)->traits().sample_height, 64);
}

TEST(PixArtConfig, PixArtXl) {
    const auto config = read({{"caption_channels", 4096}});
    const auto graph = build_pixart_transformer(config, {1, 128, 128, 120}, DType::f32, nullptr);
    // as diffusers counts them, and the table of positions, which is computed
    EXPECT_EQ(graph::parameter_count(graph, 0), 611349152 + 64 * 64 * 1152);
}

struct Refusal {
    std::string key;
    Json value;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
    *out << refusal.key << ": " << refusal.value;
}

class PixArtRefusal : public ::testing::TestWithParam<Refusal> {};

TEST_P(PixArtRefusal, NamesFileAndKey) {
    const auto& [key, value] = GetParam();
    const auto message = testing::usage_message([&] { read({{key, value}}); });
    EXPECT_THAT(message, AllOf(HasSubstr("transformer/config.json"), HasSubstr("\"" + key + "\"")));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, PixArtRefusal,
    ::testing::Values(Refusal{"norm_type", "ada_norm_zero"}, Refusal{"attention_type", "gated"},
                      Refusal{"num_embeds_ada_norm", nullptr}, Refusal{"cross_attention_dim", nullptr},
                      Refusal{"norm_type", nullptr}, Refusal{"norm_eps", nullptr},
                      Refusal{"dropout", nullptr}, Refusal{"activation_fn", nullptr},
                      Refusal{"num_layers", nullptr}, Refusal{"activation_fn", "swiglu"},
                      Refusal{"sample_size", 1}, Refusal{"sample_size", std::vector<int>{64, 32}},
                      Refusal{"patch_size", 0}, Refusal{"num_layers", 1 << 20},
                      Refusal{"interpolation_scale", 0}, Refusal{"attention_head_dim", 71},
                      Refusal{"out_channels", -1}, Refusal{"num_attention_heads", 1 << 16}),
    [](const auto& test) { return test.param.key + "_" + std::to_string(test.index); });

}  // namespace
}  // namespace reprise::models
