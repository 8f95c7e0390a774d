#include "models/registry.h"
#include "models/unet2d_condition.h"
#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

UNet2DConditionConfig read(const Json& json) {
    return UNet2DConditionConfig::from({json, "unet/config.json"});
}

TEST(UNetConfig, DefaultsAreThoseOfDiffusers) {
    const auto config = read(Json::object());
    EXPECT_EQ(config.down_blocks.size(), 4U);
    EXPECT_EQ(config.up_blocks.size(), 4U);
    EXPECT_EQ(config.down_blocks[2].out_channels, 1280);
    EXPECT_EQ(config.down_blocks[0].transformers.size(), 2U);
    EXPECT_TRUE(config.down_blocks[3].transformers.empty());
    EXPECT_EQ(config.up_blocks[1].transformers.size(), 3U);
    EXPECT_EQ(config.up_blocks[1].transformers[0].heads, 8);
    EXPECT_EQ(config.up_blocks[1].transformers[0].head_width, 160);
    EXPECT_EQ(config.text_width, 1280);
    EXPECT_EQ(config.time_embedding.width, 1280);
    EXPECT_TRUE(config.has_mid_block);
    EXPECT_FALSE(config.text_time);
    EXPECT_EQ(config.resnet.epsilon, 1e-5F);
}

TEST(UNetConfig, StableDiffusionXlBase) {
    const auto config =
        read({{"sample_size", 128},
              {"addition_embed_type", "text_time"},
              {"addition_time_embed_dim", 256},
              {"projection_class_embeddings_input_dim", 2816},
              {"attention_head_dim", {5, 10, 20}},
              {"block_out_channels", {320, 640, 1280}},
              {"cross_attention_dim", 2048},
              {"down_block_types", {"DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"}},
              {"up_block_types", {"CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"}},
              {"transformer_layers_per_block", {1, 2, 10}},
              {"use_linear_projection", true}});
    EXPECT_EQ(config.text_time->pooled_width, 1280);
    EXPECT_EQ(config.text_width, 2048);
    EXPECT_EQ(config.sample_height, 128);
    EXPECT_EQ(config.mid_transformer->layers, 10);
    EXPECT_EQ(config.up_blocks[0].transformers[2].layers, 10);
    EXPECT_EQ(config.up_blocks[1].transformers[0].head_width, 64);

    const auto graph = build_unet2d_condition(config, {1, 64, 64, 77}, DType::f32, nullptr);
    EXPECT_EQ(graph::parameter_count(graph, 0), 2567463684);  // as diffusers counts them
}

struct Refusal {
    std::string key;
    Json value;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
    *out << refusal.key << ": " << refusal.value;
}

class UNetRefusal : public ::testing::TestWithParam<Refusal> {};

TEST_P(UNetRefusal, NamesFileAndKeyAndValue) {
    const auto& [key, value] = GetParam();
    const auto message = testing::usage_message([&] { read({{key, value}}); });
    EXPECT_THAT(message, AllOf(HasSubstr("unet/config.json"), HasSubstr("\"" + key + "\"")));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, UNetRefusal,
    ::testing::Values(
        // not supported
        Refusal{"encoder_hid_dim", 768}, Refusal{"encoder_hid_dim_type", "text_proj"},
        Refusal{"num_attention_heads", 8}, Refusal{"class_embed_type", "timestep"},
        Refusal{"num_class_embeds", 10}, Refusal{"time_cond_proj_dim", 256},
        Refusal{"dual_cross_attention", true}, Refusal{"class_embeddings_concat", true},
        Refusal{"attention_type", "gated"}, Refusal{"time_embedding_type", "fourier"},
        Refusal{"addition_embed_type", "text_image"}, Refusal{"conv_in_kernel", 4},
        Refusal{"conv_out_kernel", 2}, Refusal{"mid_block_type", "UNetMidBlock2DSimpleCrossAttn"},
        Refusal{"down_block_types", Json::array({"SimpleCrossAttnDownBlock2D"})},
        Refusal{"up_block_types", Json::array({"ResnetUpsampleBlock2D"})},
        Refusal{"resnet_time_scale_shift", "spatial"}, Refusal{"act_fn", "mish"},
        Refusal{"timestep_post_act", "mish"}, Refusal{"time_embedding_act_fn", "mish"},
        Refusal{"norm_num_groups", nullptr}, Refusal{"downsample_padding", 2},
        // null is not absent: diffusers' None is an error there
        Refusal{"act_fn", nullptr}, Refusal{"conv_in_kernel", nullptr}, Refusal{"down_block_types", nullptr},
        Refusal{"block_out_channels", nullptr}, Refusal{"only_cross_attention", nullptr},
        Refusal{"dropout", nullptr}, Refusal{"norm_eps", nullptr}, Refusal{"attention_head_dim", nullptr},
        Refusal{"cross_attention_dim", nullptr}, Refusal{"transformer_layers_per_block", nullptr},
        Refusal{"time_embedding_type", nullptr}, Refusal{"resnet_time_scale_shift", nullptr},
        Refusal{"in_channels", nullptr}, Refusal{"freq_shift", nullptr},
        Refusal{"reverse_transformer_layers_per_block", 1},
        // wrong
        Refusal{"norm_num_groups", 7}, Refusal{"norm_num_groups", 0}, Refusal{"in_channels", -1},
        Refusal{"in_channels", "four"}, Refusal{"block_out_channels", Json::array({320, 640})},
        Refusal{"block_out_channels", Json::array({320, 640, 1280, 0})},
        Refusal{"block_out_channels", Json::array({320, 640, 1280, std::int64_t{1} << 62})},
        Refusal{"layers_per_block", Json::array({1, 2})}, Refusal{"layers_per_block", 1 << 30},
        Refusal{"attention_head_dim", 0}, Refusal{"attention_head_dim", 100000},
        Refusal{"attention_head_dim", Json::array({5, 10, 20})},
        Refusal{"cross_attention_dim", Json::array({1, 2, 3, 4})},
        Refusal{"only_cross_attention", Json::array({true})},
        Refusal{"transformer_layers_per_block", Json::array({1, 2})},
        Refusal{"transformer_layers_per_block", "one"}, Refusal{"transformer_layers_per_block", 100000},
        Refusal{"transformer_layers_per_block", 200},
        Refusal{"transformer_layers_per_block", Json::array({1, 1, 1, Json::array({1})})},
        Refusal{"reverse_transformer_layers_per_block", Json::array({1, Json::array({1}), 1, 1})},
        Refusal{"freq_shift", 160}, Refusal{"mid_block_scale_factor", 0},
        Refusal{"sample_size", Json::array({1, 2, 3})}, Refusal{"down_block_types", Json::array()}));

TEST(UNetConfig, NullIsFalseWherePythonOnlyAsksForTruth) {
    EXPECT_FALSE(read({{"flip_sin_to_cos", nullptr}}).timestep.flip_sin_to_cos);
    EXPECT_TRUE(read(Json::object()).timestep.flip_sin_to_cos);
    EXPECT_EQ(read({{"time_embedding_dim", nullptr}}).time_embedding.width, 1280);
    EXPECT_NO_THROW(read({{"dual_cross_attention", nullptr},
                          {"class_embeddings_concat", nullptr},
                          {"attention_type", nullptr}}));
}

TEST(UNetConfig, TextTimeNeedsItsSizes) {
    Json json = {{"addition_embed_type", "text_time"}};
    const auto message = [&] { return testing::usage_message([&] { read(json); }); };
    EXPECT_THAT(message(), HasSubstr("addition_time_embed_dim"));
    json["addition_time_embed_dim"] = 256;
    EXPECT_THAT(message(), HasSubstr("projection_class_embeddings_input_dim"));
    json["projection_class_embeddings_input_dim"] = 6 * 256;
    EXPECT_THAT(message(), HasSubstr("projection_class_embeddings_input_dim"));
}

TEST(UNetConfig, ThePipelinesClassSaysHowManyIds) {
    Json json = {{"addition_embed_type", "text_time"},
                 {"addition_time_embed_dim", 256},
                 {"projection_class_embeddings_input_dim", 2560}};
    EXPECT_EQ(read(json).text_time->pooled_width, 1024);
    json[kNumTimeIds] = kCropAndScoreIds;
    EXPECT_EQ(read(json).text_time->pooled_width, 1280);
    EXPECT_EQ(read(json).text_time->num_ids, 5);
}

TEST(UNetConfig, ShapesThatCannotBeComputedAreRefused) {
    const auto config = read(Json::object());
    const auto message = [&](const DenoiserShape& shape) {
        return testing::usage_message([&] { build_unet2d_condition(config, shape, DType::f32, nullptr); });
    };
    EXPECT_THAT(message({1, 0, 8, 77}), HasSubstr("0 x 8"));
    EXPECT_THAT(message({0, 8, 8, 77}), HasSubstr("batches of 0"));
    EXPECT_THAT(message({1, 8, std::int64_t{1} << 40, 77}), HasSubstr("latents"));
    EXPECT_THAT(message({1, 8, 8, 0}), HasSubstr("text"));
}

TEST(Registry, RefusesOtherClassesNamingThoseThereAre) {
    EXPECT_THAT(testing::usage_message([] {
                    make_denoiser("UNet3DConditionModel", {Json::object(), "model_index.json"});
                }),
                AllOf(HasSubstr("UNet3DConditionModel"), HasSubstr("UNet2DConditionModel")));
    EXPECT_THAT(testing::usage_message([] {
                    make_denoiser("CLIPTextModel", {Json::object(), "f"});
                }),
                HasSubstr("CLIPTextModel"));
    for (const auto& entry : model_classes())
        EXPECT_EQ(entry.make_denoiser != nullptr, entry.role == Role::denoiser) << entry.name;
}

}  // namespace
}  // namespace reprise::models
