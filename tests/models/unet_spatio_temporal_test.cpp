#include "models/unet_spatio_temporal.h"

#include <set>

#include "drawn_weights.h"
#include "graph/module.h"
#include "models/registry.h"
#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using testing::DrawnFixture;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::run;

constexpr std::string_view kClass = "UNetSpatioTemporalConditionModel";

DenoiserShape shape_of(const DrawnFixture& fixture) {
    const Tensor sample = fixture.tensor("in.sample");
    return {sample.dim(0), sample.dim(3), sample.dim(4), fixture.tensor("in.encoder_hidden_states").dim(1),
            sample.dim(1)};
}

std::vector<Tensor> inputs_of(const Denoiser& denoiser, const DrawnFixture& fixture) {
    return testing::inputs_of(denoiser, shape_of(fixture), fixture);
}

class VideoUNetParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(VideoUNetParity, EqualsDiffusers) {
    const auto& [name, backend] = GetParam();
    const DrawnFixture fixture(name);
    const auto denoiser = make_denoiser(kClass, fixture.config);
    const auto graph = denoiser->build(shape_of(fixture), DType::f32, &fixture.weights);
    const auto results = run(backend, graph, inputs_of(*denoiser, fixture));
    expect_close(results.at("sample"), fixture.tensor("out.sample"), name);
}

INSTANTIATE_TEST_SUITE_P(Cases, VideoUNetParity,
                         ::testing::Combine(::testing::Values("svd", "svd_published_blocks", "svd_odd",
                                                              "svd_nested_layers"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

graph::ModuleKind attention_kind(const std::string& name) {
    using graph::ModuleKind;
    const bool self = name.ends_with("attn1");
    if (name.find("temporal_transformer_blocks") != std::string::npos)
        return self ? ModuleKind::temporal_self_attention : ModuleKind::temporal_cross_attention;
    return self ? ModuleKind::self_attention : ModuleKind::cross_attention;
}

class VideoUNetModules : public ::testing::TestWithParam<std::string> {};

// Every unit of reuse has the name, kind, outputs and values of diffusers' module.
TEST_P(VideoUNetModules, OutputsEqualThoseOfDiffusersHooks) {
    const DrawnFixture fixture("svd");
    const Json classes = fixture.metadata("classes");
    const auto denoiser = make_denoiser(kClass, fixture.config);
    auto graph = denoiser->build(shape_of(fixture), DType::f32, &fixture.weights);

    std::set<std::string> names;
    for (const auto& module : graph.modules) {
        if (module.kind == graph::ModuleKind::other) continue;
        names.insert(module.name);
        ASSERT_TRUE(classes.contains(module.name)) << module.name;
        const auto diffusers_class = classes.at(module.name).get<std::string>();
        EXPECT_EQ(module.kind, diffusers_class == "Attention" ? attention_kind(module.name)
                                                              : kind_of_class(diffusers_class))
            << module.name;
        EXPECT_EQ(module.invocations, 1) << module.name;
        EXPECT_EQ(module.inputs.size(), module.outputs.size()) << module.name;
        for (std::size_t i = 0; i < module.outputs.size(); ++i)
            graph.outputs.push_back({fmt::format("{}.{}", module.name, i), module.outputs[i]});
        EXPECT_FALSE(fixture.has(fmt::format("module.{}.{}", module.name, module.outputs.size())));
    }
    EXPECT_EQ(names.size(), classes.size());

    for (const auto& [name, result] : run(GetParam(), graph, inputs_of(*denoiser, fixture))) {
        if (name == "sample") continue;
        const auto beginning = fixture.tensor("module." + name);
        EXPECT_LT(testing::relative_difference(result.span<float>(), beginning.span<float>()),
                  testing::kModuleTolerance)
            << name;
        if (name.find("temporal_transformer_blocks") != std::string::npos &&
            !name.ends_with("temporal_transformer_blocks.0.0"))
            continue;  // inside, diffusers' modules see each pixel as a batch too, in the same order
        const auto shape = fixture.tensor("shape." + name);
        EXPECT_THAT(result.shape(), ::testing::ElementsAreArray(shape.span<std::int64_t>())) << name;
    }
}

INSTANTIATE_TEST_SUITE_P(Backends, VideoUNetModules, ::testing::ValuesIn(backends::available()),
                         testing::backend_name);

TEST(VideoUNet, TraitsAreWhatAPipelineNeeds) {
    const DrawnFixture fixture("svd_odd");
    const auto denoiser = make_denoiser(kClass, fixture.config);
    const auto traits = denoiser->traits();
    EXPECT_EQ(traits.in_channels, 3);
    EXPECT_EQ(traits.out_channels, 3);
    EXPECT_EQ(denoiser->width_of(kText), 10);
    EXPECT_FALSE(denoiser->takes(kPooledText));
    EXPECT_EQ(traits.time_ids, 2);
    EXPECT_EQ(traits.frames, 4);
    const DrawnFixture sized("svd_published_blocks");
    EXPECT_EQ(make_denoiser(kClass, sized.config)->traits().sample_width, 16);
}

// The frame numbers, and all that is made of the picture's embedding, read neither latents nor timestep.
TEST(VideoUNet, KeysAndFrameNumbersDependOnConditioningOnly) {
    const DrawnFixture fixture("svd");
    const auto graph = make_denoiser(kClass, fixture.config)->build(shape_of(fixture), DType::f32, nullptr);
    std::vector<bool> changes(graph.nodes.size(), false);
    for (std::size_t i = 0; i < graph.inputs.size(); ++i)
        changes[static_cast<std::size_t>(graph.inputs[i])] = graph.input(i).when == graph::When::step;
    int fixed = 0;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        const auto& node = graph.nodes[i];
        for (const auto input : node.inputs)
            if (changes[static_cast<std::size_t>(input)]) changes[i] = true;
        const std::string& module = graph.modules[static_cast<std::size_t>(node.module)].name;
        if (node.op != graph::Op::linear) continue;
        if (module.ends_with("attn2.to_k") || module.ends_with("attn2.to_v") ||
            module.find("time_pos_embed") != std::string::npos || module.starts_with("add_embedding")) {
            EXPECT_FALSE(changes[i]) << module;
            ++fixed;
        }
    }
    // Transformers: one down, one mid, two up; keys and values of two blocks each, and two layers of numbers.
    EXPECT_EQ(fixed, 4 * (4 + 2) + 2);
    EXPECT_TRUE(changes[static_cast<std::size_t>(graph.outputs[0].node)]);
}

UNetSpatioTemporalConfig read(const Json& json) {
    return UNetSpatioTemporalConfig::from({json, "unet/config.json"});
}

TEST(VideoUNetConfig, DefaultsAreImg2vidXt) {
    const auto config = read(Json::object());
    EXPECT_EQ(config.num_frames, 25);
    EXPECT_EQ(config.image_channels(), 4);
    EXPECT_EQ(config.added_ids, 3);
    EXPECT_EQ(config.context_width, 1024);
    EXPECT_EQ(config.down_blocks[1].transformers[0].heads, 10);
    EXPECT_TRUE(config.down_blocks[3].transformers.empty());
    const auto graph = build_unet_spatio_temporal(config, {1, 8, 8, 1, 2}, DType::f32, nullptr);
    EXPECT_EQ(graph::parameter_count(graph, 0), 1524623082 + 2 * (320 * 5 + 640 * 5 + 1280 * 6));
}

struct Refusal {
    std::string key;
    Json value;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
    *out << refusal.key << ": " << refusal.value;
}

class VideoUNetRefusal : public ::testing::TestWithParam<Refusal> {};

TEST_P(VideoUNetRefusal, NamesFileAndKey) {
    const auto& [key, value] = GetParam();
    const auto message = testing::usage_message([&] { read({{key, value}}); });
    EXPECT_THAT(message, AllOf(HasSubstr("unet/config.json"), HasSubstr("\"" + key + "\"")));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, VideoUNetRefusal,
    ::testing::Values(
        // not supported
        Refusal{"down_block_types", Json::array({"DownBlock3D"})},
        Refusal{"up_block_types", Json::array({"UpBlock2D"})},
        // null is not absent
        Refusal{"num_attention_heads", nullptr}, Refusal{"transformer_layers_per_block", nullptr},
        Refusal{"num_frames", nullptr},
        // wrong
        Refusal{"down_block_types", Json::array()},
        Refusal{"up_block_types", Json::array({"UpBlockSpatioTemporal"})},
        Refusal{"block_out_channels", Json::array({32, 64})},
        Refusal{"block_out_channels", Json::array({320, 640, 1280, 1290})},
        Refusal{"block_out_channels", Json::array({320, 640, 1280, std::int64_t{1} << 62})},
        Refusal{"num_attention_heads", 3}, Refusal{"num_attention_heads", 0},
        Refusal{"num_attention_heads", Json::array({5, 10})}, Refusal{"layers_per_block", 1 << 30},
        Refusal{"layers_per_block", Json::array({2, 2})},
        Refusal{"cross_attention_dim", Json::array({1, 2, 3, 4})},
        Refusal{"transformer_layers_per_block", Json::array({1, 1})},
        Refusal{"transformer_layers_per_block", "one"}, Refusal{"transformer_layers_per_block", 200},
        Refusal{"transformer_layers_per_block", Json::array({1, 1, 1, Json::array()})},
        Refusal{"transformer_layers_per_block", Json::array({Json::array({1, 1}), 1, 1, 1})},
        Refusal{"addition_time_embed_dim", 0}, Refusal{"projection_class_embeddings_input_dim", 700},
        Refusal{"num_frames", 0}, Refusal{"in_channels", -1}, Refusal{"sample_size", Json::array({1})}));

TEST(VideoUNetConfig, ShapesThatCannotBeComputedAreRefused) {
    const auto config = read(Json::object());
    const auto message = [&](const DenoiserShape& shape) {
        return testing::usage_message(
            [&] { build_unet_spatio_temporal(config, shape, DType::f32, nullptr); });
    };
    EXPECT_THAT(message({1, 8, 8, 1, 0}), HasSubstr("0 frames"));
    EXPECT_THAT(message({1, 8, 8, 1, 1 << 20}), HasSubstr("frames"));
    EXPECT_THAT(message({1, 0, 8, 1, 2}), HasSubstr("latents"));
}

}  // namespace
}  // namespace reprise::models
