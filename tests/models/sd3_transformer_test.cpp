#include "models/sd3_transformer.h"

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

constexpr const char* kClass = "SD3Transformer2DModel";

DenoiserShape shape_of(const ModelFixture& fixture) {
    const Tensor sample = fixture.tensor("in.sample");
    return {sample.dim(0), sample.dim(2), sample.dim(3), fixture.tensor("in.encoder_hidden_states").dim(1)};
}

std::vector<Tensor> inputs_of(const Denoiser& denoiser, const ModelFixture& fixture) {
    return testing::inputs_of(denoiser, shape_of(fixture), fixture);
}

class Sd3Parity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Sd3Parity, EqualsDiffusers) {
    const auto& [name, backend] = GetParam();
    const ModelFixture fixture(name);
    const auto denoiser = make_denoiser(kClass, fixture.config);
    const auto graph = denoiser->build(shape_of(fixture), DType::f32, &fixture.weights);
    const auto results = run(backend, graph, inputs_of(*denoiser, fixture));
    expect_close(results.at("sample"), fixture.tensor("out.sample"), name);
}

INSTANTIATE_TEST_SUITE_P(Cases, Sd3Parity,
                         ::testing::Combine(::testing::Values("sd3", "sd35", "sd3_one_block", "sd3_patch_3"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

class Sd3Modules : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

// Every unit of reuse has the name, kind, outputs and values of diffusers' module.
TEST_P(Sd3Modules, OutputsEqualThoseOfDiffusersHooks) {
    const auto& [name, backend] = GetParam();
    const ModelFixture fixture(name);
    const auto classes = Json::parse(fixture.expected.metadata().at("classes"));
    const auto denoiser = make_denoiser(kClass, fixture.config);
    auto graph = denoiser->build(shape_of(fixture), DType::f32, &fixture.weights);

    std::set<std::string> names;
    for (const auto& module : graph.modules) {
        if (module.kind == graph::ModuleKind::other) continue;
        names.insert(module.name);
        ASSERT_TRUE(classes.contains(module.name)) << module.name;
        const auto diffusers_class = classes.at(module.name).get<std::string>();
        if (diffusers_class == "Attention") {
            EXPECT_EQ(module.kind, module.name.ends_with("attn2") ? graph::ModuleKind::self_attention
                                                                  : graph::ModuleKind::joint_attention);
        } else {
            EXPECT_EQ(module.kind, kind_of_class(diffusers_class)) << module.name;
        }
        EXPECT_EQ(module.invocations, 1) << module.name;
        ASSERT_EQ(module.inputs.size(), module.outputs.size()) << module.name;
        for (std::size_t i = 0; i < module.outputs.size(); ++i) {
            EXPECT_EQ(graph[module.inputs[i]].shape, graph[module.outputs[i]].shape) << module.name;
            graph.outputs.push_back({fmt::format("{}.{}", module.name, i), module.outputs[i]});
        }
        EXPECT_FALSE(fixture.has(fmt::format("module.{}.{}", module.name, module.outputs.size())));
    }
    EXPECT_EQ(names.size(), classes.size());

    for (const auto& [output, result] : run(backend, graph, inputs_of(*denoiser, fixture))) {
        if (output == "sample") continue;
        const auto shape = fixture.tensor("shape." + output);
        EXPECT_THAT(result.shape(), ::testing::ElementsAreArray(shape.span<std::int64_t>())) << output;
        const auto beginning = fixture.tensor("module." + output);
        EXPECT_LT(testing::relative_difference(result.span<float>(), beginning.span<float>()),
                  testing::kModuleTolerance)
            << output;
    }
}

INSTANTIATE_TEST_SUITE_P(Cases, Sd3Modules,
                         ::testing::Combine(::testing::Values("sd3", "sd35"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

// What the planner hoists: the text's and the pooled text's projections.
TEST(Sd3Graph, TextProjectionsDependOnConditioningOnly) {
    const ModelFixture fixture("sd35");
    const auto graph = make_denoiser(kClass, fixture.config)->build(shape_of(fixture), DType::f32, nullptr);
    std::vector<bool> changes(graph.nodes.size(), false);
    for (std::size_t i = 0; i < graph.inputs.size(); ++i)
        changes[static_cast<std::size_t>(graph.inputs[i])] = graph.input(i).when == graph::When::step;
    int fixed_layers = 0;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        const auto& node = graph.nodes[i];
        for (const auto input : node.inputs)
            if (changes[static_cast<std::size_t>(input)]) changes[i] = true;
        const std::string& module = graph.modules[static_cast<std::size_t>(node.module)].name;
        if (node.op != graph::Op::linear || changes[i]) continue;
        ++fixed_layers;
        EXPECT_TRUE(module == "context_embedder" || module.starts_with("time_text_embed.text_embedder"))
            << module;
    }
    EXPECT_EQ(fixed_layers, 3);
    EXPECT_TRUE(changes[static_cast<std::size_t>(graph.outputs[0].node)]);
}

TEST(Sd3Graph, MissingLeftOverAndMisshapenWeightsAreNamed) {
    const ModelFixture fixture("sd35");
    MapWeights::Map weights;
    for (const auto& name : fixture.weights.names()) weights.emplace(name, *fixture.weights.find(name));
    const auto build = [&](const MapWeights::Map& map) {
        const MapWeights source(map, "transformer folder");
        make_denoiser(kClass, fixture.config)->build(shape_of(fixture), DType::f32, &source);
    };
    const auto message = [&](const MapWeights::Map& map) {
        return testing::usage_message([&] { build(map); });
    };
    auto missing = weights;
    missing.erase("pos_embed.pos_embed");
    EXPECT_THAT(message(missing), HasSubstr("pos_embed.pos_embed"));
    auto left_over = weights;
    left_over.emplace("transformer_blocks.2.attn.to_add_out.weight", Tensor(DType::f32, {2, 2}));
    EXPECT_THAT(test::logged([&] { build(left_over); }),
                HasSubstr("transformer_blocks.2.attn.to_add_out.weight"));
    auto misshapen = weights;
    misshapen["transformer_blocks.0.attn.norm_added_q.weight"] = Tensor(DType::f32, {7});
    EXPECT_THAT(message(misshapen), HasSubstr("transformer_blocks.0.attn.norm_added_q.weight"));
}

TEST(Sd3Graph, ShapesThatCannotBeComputedAreRefused) {
    const auto denoiser = make_denoiser(kClass, ModelFixture("sd3").config);
    const auto message = [&](const DenoiserShape& shape) {
        return testing::usage_message([&] { denoiser->build(shape, DType::f32, nullptr); });
    };
    EXPECT_THAT(message({1, 8, 7, 77}), AllOf(HasSubstr("8 x 7"), HasSubstr("patches of 2")));
    EXPECT_THAT(message({1, 16, 8, 77}), AllOf(HasSubstr("16 x 8"), HasSubstr("14 x 14")));
    EXPECT_THAT(message({0, 8, 8, 77}), HasSubstr("batches of 0"));
    EXPECT_THAT(message({1, 8, 8, 0}), HasSubstr("text"));
}

Sd3TransformerConfig read(const Json& json) {
    return Sd3TransformerConfig::from({json, "transformer/config.json"});
}

TEST(Sd3Config, DefaultsAreThoseOfDiffusers) {
    const auto config = read(Json::object());
    EXPECT_EQ(config.blocks.size(), 18U);
    EXPECT_EQ(config.width(), 1152);
    EXPECT_EQ(config.sample_size, 128);
    EXPECT_EQ(config.patch_size, 2);
    EXPECT_EQ(config.in_channels, 16);
    EXPECT_EQ(config.out_channels, 16);
    EXPECT_EQ(config.joint_attention_dim, 4096);
    EXPECT_EQ(config.pooled_projection_dim, 2048);
    EXPECT_EQ(config.pos_embed_max_size, 96);
    EXPECT_FALSE(config.blocks[0].dual_attention);
    EXPECT_FALSE(config.blocks[0].context_pre_only);
    EXPECT_TRUE(config.blocks[17].context_pre_only);
    EXPECT_EQ(config.blocks[0].qk_norm, nn::QkNorm::none);
}

TEST(Sd3Config, StableDiffusion3Medium) {
    const auto config = read({{"num_layers", 24},
                              {"num_attention_heads", 24},
                              {"caption_projection_dim", 1536},
                              {"pos_embed_max_size", 192}});
    const auto graph = build_sd3_transformer(config, {1, 128, 128, 333}, DType::f32, nullptr);
    // as diffusers counts them, and the table of positions, which is a buffer there
    EXPECT_EQ(graph::parameter_count(graph, 0), 2028328000 + 192 * 192 * 1536);
}

struct Refusal {
    std::string key;
    Json value;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
    *out << refusal.key << ": " << refusal.value;
}

class Sd3Refusal : public ::testing::TestWithParam<Refusal> {};

TEST_P(Sd3Refusal, NamesFileAndKey) {
    const auto& [key, value] = GetParam();
    const auto message = testing::usage_message([&] { read({{key, value}}); });
    EXPECT_THAT(message, AllOf(HasSubstr("transformer/config.json"), HasSubstr("\"" + key + "\"")));
}

INSTANTIATE_TEST_SUITE_P(Keys, Sd3Refusal,
                         ::testing::Values(
                             // not supported
                             Refusal{"qk_norm", "l2"}, Refusal{"qk_norm", "rms_norm_across_heads"},
                             // null is not absent
                             Refusal{"pos_embed_max_size", nullptr},
                             Refusal{"dual_attention_layers", nullptr}, Refusal{"num_layers", nullptr},
                             // wrong
                             Refusal{"qk_norm", 3}, Refusal{"num_layers", 0}, Refusal{"num_layers", 100000},
                             Refusal{"patch_size", 0}, Refusal{"pos_embed_max_size", 0},
                             Refusal{"in_channels", "four"}, Refusal{"caption_projection_dim", 1000},
                             Refusal{"num_attention_heads", 24}, Refusal{"attention_head_dim", 1 << 16},
                             Refusal{"dual_attention_layers", "0"}, Refusal{"joint_attention_dim", -1},
                             Refusal{"pooled_projection_dim", 0},
                             Refusal{"sample_size", std::int64_t{1} << 40}, Refusal{"out_channels", 0}));

}  // namespace
}  // namespace reprise::models
