#include "models/autoencoder_kl.h"

#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::ModelFixture;

PictureShape shape_of(const Tensor& tensor) {
    return {tensor.dim(0), tensor.dim(2), tensor.dim(3)};
}

class AutoencoderParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(AutoencoderParity, DecoderEqualsDiffusers) {
    const auto& [name, backend] = GetParam();
    const ModelFixture fixture(name, "AutoencoderKL");
    const auto config = AutoencoderKLConfig::from(fixture.config);
    const Tensor latents = fixture.tensor("in.latents");
    const auto graph = build_autoencoder_kl_decoder(config, shape_of(latents), DType::f32, &fixture.weights);
    const auto results = testing::run(backend, graph, {latents});
    EXPECT_EQ(results.at("image").dim(2), latents.dim(2) * config.scale());
    expect_close(results.at("image"), fixture.tensor("out.image"), name);
}

TEST_P(AutoencoderParity, EncoderEqualsDiffusers) {
    const auto& [name, backend] = GetParam();
    const ModelFixture fixture(name, "AutoencoderKL");
    const auto config = AutoencoderKLConfig::from(fixture.config);
    const Tensor image = fixture.tensor("in.image");
    const auto graph = build_autoencoder_kl_encoder(config, shape_of(image), DType::f32, &fixture.weights);
    expect_close(testing::run(backend, graph, {image}).at("moments"), fixture.tensor("out.moments"), name);
}

INSTANTIATE_TEST_SUITE_P(Cases, AutoencoderParity,
                         ::testing::Combine(::testing::Values("vae_old_names", "vae_16_channels",
                                                              "vae_plain_mid"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

TEST(AutoencoderConfig, WhatPipelinesNeed) {
    const auto flux = AutoencoderKLConfig::from(ModelFixture("vae_16_channels").config);
    EXPECT_EQ(flux.latent_channels, 16);
    EXPECT_FLOAT_EQ(flux.shift_factor.value(), 0.1159F);
    EXPECT_FLOAT_EQ(flux.scaling_factor, 0.3611F);
    EXPECT_FALSE(flux.force_upcast);
    EXPECT_EQ(flux.sample_height, 64);
    EXPECT_FALSE(flux.latents_mean);

    const auto plain = AutoencoderKLConfig::from(ModelFixture("vae_plain_mid").config);
    EXPECT_FALSE(plain.shift_factor);
    EXPECT_TRUE(plain.force_upcast);
    EXPECT_THAT(plain.latents_std.value(), ::testing::ElementsAre(1.0F, 2.0F, 0.5F, 1.5F));
    EXPECT_EQ(plain.scale(), 1);
}

TEST(AutoencoderConfig, WrongAndUnsupportedValuesAreNamed) {
    const auto message = [](const Json& json) {
        return testing::usage_message([&] { AutoencoderKLConfig::from({json, "vae/config.json"}); });
    };
    EXPECT_THAT(message({{"down_block_types", {"AttnDownEncoderBlock2D"}}}),
                AllOf(HasSubstr("vae/config.json"), HasSubstr("\"down_block_types\""),
                      HasSubstr("DownEncoderBlock2D")));
    EXPECT_THAT(message({{"up_block_types", {"AttnUpDecoderBlock2D"}}}), HasSubstr("up_block_types"));
    EXPECT_THAT(message({{"block_out_channels", {64, 64}}}), HasSubstr("down_block_types"));
    EXPECT_THAT(message({{"block_out_channels", Json::array()}}), HasSubstr("block_out_channels"));
    EXPECT_THAT(message({{"block_out_channels", {48}}}), HasSubstr("norm_num_groups"));
    EXPECT_THAT(message({{"latents_mean", {1.0}}}), HasSubstr("latents_mean"));
    EXPECT_THAT(message({{"latents_std", {1.0, 1.0, 1.0, 1.0}}}), HasSubstr("latents_mean"));
    EXPECT_THAT(message({{"scaling_factor", 0}}), HasSubstr("scaling_factor"));
    EXPECT_THAT(message({{"act_fn", "mish"}}), HasSubstr("act_fn"));
    EXPECT_THAT(message({{"latent_channels", 0}}), HasSubstr("latent_channels"));
}

TEST(AutoencoderGraph, ShapesThatCannotBeComputedAreRefused) {
    const AutoencoderKLConfig config;
    EXPECT_THAT(testing::usage_message([&] {
                    build_autoencoder_kl_decoder(config, {1, std::int64_t{1} << 40, 8}, DType::f32, nullptr);
                }),
                HasSubstr("pictures"));
    EXPECT_THAT(testing::usage_message([&] {
                    build_autoencoder_kl_encoder(config, {1, 8, 0}, DType::f32, nullptr);
                }),
                HasSubstr("8 x 0"));
}

}  // namespace
}  // namespace reprise::models
