#include "models/autoencoder_kl_temporal_decoder.h"

#include "drawn_weights.h"
#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using testing::DrawnFixture;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::run;

class TemporalDecoderParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(TemporalDecoderParity, EqualsDiffusers) {
    const auto& [name, backend] = GetParam();
    const DrawnFixture fixture(name);
    const auto config = AutoencoderKLTemporalDecoderConfig::from(fixture.config);
    const Tensor latents = fixture.tensor("in.latents");
    const auto frames = fixture.metadata("frames").get<std::int64_t>();
    const auto decoder =
        build_temporal_decoder(config, {latents.dim(0) / frames, frames, latents.dim(2), latents.dim(3)},
                               DType::f32, &fixture.weights);
    expect_close(run(backend, decoder, {latents}).at("frames"), fixture.tensor("out.frames"), name);

    const Tensor image = fixture.tensor("in.image");
    const auto encoder = build_autoencoder_kl_encoder(
        config.pictures, {image.dim(0), image.dim(2), image.dim(3)}, DType::f32, &fixture.weights);
    expect_close(run(backend, encoder, {image}).at("moments"), fixture.tensor("out.moments"), name);
}

INSTANTIATE_TEST_SUITE_P(Cases, TemporalDecoderParity,
                         ::testing::Combine(::testing::Values("vae_temporal", "vae_temporal_one_layer",
                                                              "vae_temporal_three_layers"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

TEST(TemporalDecoderConfig, WhatPipelinesNeedIsRead) {
    const auto config =
        AutoencoderKLTemporalDecoderConfig::from(DrawnFixture("vae_temporal_one_layer").config);
    EXPECT_FALSE(config.pictures.force_upcast);
    EXPECT_EQ(config.pictures.sample_width, 64);
    EXPECT_EQ(config.pictures.scale(), 1);
    EXPECT_FLOAT_EQ(config.pictures.scaling_factor, 0.18215F);
}

TEST(TemporalDecoderConfig, WrongValuesAreNamed) {
    const auto message = [](const char* key, const Json& value) {
        return testing::usage_message([&] {
            AutoencoderKLTemporalDecoderConfig::from({{{key, value}}, "vae/config.json"});
        });
    };
    for (const auto& [key, value] : {std::pair<const char*, Json>{"block_out_channels", Json::array({48})},
                                     {"block_out_channels", Json::array()},
                                     {"down_block_types", Json::array({"AttnDownBlock2D"})},
                                     {"layers_per_block", 0},
                                     {"scaling_factor", 0},
                                     {"latent_channels", -4},
                                     {"sample_size", "large"}})
        EXPECT_THAT(message(key, value), AllOf(HasSubstr("vae/config.json"), HasSubstr(key)));
}

TEST(TemporalDecoder, ShapesThatCannotBeComputedAreRefused) {
    const AutoencoderKLTemporalDecoderConfig config;
    EXPECT_THAT(testing::usage_message([&] {
                    build_temporal_decoder(config, {1, 0, 8, 8}, DType::f32, nullptr);
                }),
                HasSubstr("frames"));
}

}  // namespace
}  // namespace reprise::models
