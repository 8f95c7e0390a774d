#include "models/t5_encoder.h"

#include "core/captured_log.h"
#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::ModelFixture;

class T5Parity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
  protected:
    T5Parity()
        : fixture_(std::get<0>(GetParam()), "T5EncoderModel"),
          config_(T5EncoderConfig::from(fixture_.config)),
          embedded_(t5_token_embeddings(config_, fixture_.tensor("in.input_ids"), fixture_.weights)),
          mask_(fixture_.tensor("in.attention_mask")) {}

    Tensor run(const Tensor& input, const T5Part& part, bool masked) {
        const auto graph = build_t5_encoder(config_, {input.dim(0), input.dim(1), masked}, part, DType::f32,
                                            &fixture_.weights);
        std::vector<Tensor> inputs = {input};
        if (masked) inputs.push_back(mask_);
        return testing::run(std::get<1>(GetParam()), graph, inputs).at("hidden_states");
    }

    ModelFixture fixture_;
    T5EncoderConfig config_;
    Tensor embedded_, mask_;
};

TEST_P(T5Parity, WholeEncoder) {
    expect_close(run(embedded_, {0, config_.num_layers}, true), fixture_.tensor("out.masked"), "masked");
    expect_close(run(embedded_, {0, config_.num_layers}, false), fixture_.tensor("out.unmasked"), "unmasked");
}

TEST_P(T5Parity, LayerByLayer) {
    Tensor x = embedded_;
    for (std::int64_t i = 0; i < config_.num_layers; ++i) x = run(x, {i, i + 1}, true);
    expect_close(x, fixture_.tensor("out.masked"), "masked");
}

INSTANTIATE_TEST_SUITE_P(Cases, T5Parity,
                         ::testing::Combine(::testing::Values("t5_gated", "t5_relu", "t5_gelu",
                                                              "t5_gated_silu"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

TEST(T5PositionBuckets, AreThoseOfTransformers) {
    const SafetensorsFile expected(std::string(REPRISE_FIXTURES) + "/models/t5_position_buckets.safetensors");
    ASSERT_FALSE(expected.entries().empty());
    for (const auto& [name, entry] : expected.entries()) {
        const auto slash = name.find('/');
        const auto buckets = std::stoll(name.substr(0, slash));
        const auto distance = std::stoll(name.substr(slash + 1));
        const Tensor all = expected.find(name)->clone();
        for (std::int64_t i = 0; i < all.dim(0); ++i)
            EXPECT_EQ(t5_position_bucket(i - 300, buckets, distance),
                      all.span<std::int64_t>()[static_cast<std::size_t>(i)])
                << name << " at " << i - 300;
    }
}

TEST(T5TokenEmbeddings, WhatDoesNotFitIsNamed) {
    const ModelFixture fixture("t5_gated", "T5EncoderModel");
    auto config = T5EncoderConfig::from(fixture.config);
    const std::vector<std::int64_t> beyond = {0, config.vocab_size};
    EXPECT_THAT(testing::usage_message([&] {
                    t5_token_embeddings(config, Tensor::from({1, 2}, beyond), fixture.weights);
                }),
                HasSubstr("token id 40"));
    ++config.vocab_size;
    EXPECT_THAT(testing::usage_message([&] {
                    t5_token_embeddings(config, Tensor::from({1, 2}, beyond), fixture.weights);
                }),
                AllOf(HasSubstr("shared.weight"), HasSubstr("41")));
}

TEST(T5Graph, F16IsRefused) {
    const T5EncoderConfig config;
    EXPECT_THAT(testing::usage_message([&] {
                    build_t5_encoder(config, {1, 8, false}, {0, config.num_layers}, DType::f16, nullptr);
                }),
                AllOf(HasSubstr("f16"), HasSubstr("bf16")));
}

TEST(T5Graph, WeightsThatNoPartReadsAreLeftOver) {
    const ModelFixture fixture("t5_gated", "T5EncoderModel");
    auto config = T5EncoderConfig::from(fixture.config);
    --config.num_layers;
    const auto said = test::logged([&] {
        build_t5_encoder(config, {1, 8, false}, {0, 1}, DType::f32, &fixture.weights);
    });
    EXPECT_THAT(said, AllOf(HasSubstr("left over"), HasSubstr("encoder.block.2.")));
}

TEST(T5EncoderConfig, WrongValuesAreNamed) {
    const auto message = [](const Json& json) {
        return testing::usage_message([&] { T5EncoderConfig::from({json, "text_encoder/config.json"}); });
    };
    EXPECT_THAT(
        message({{"feed_forward_proj", "gated-mish"}}),
        AllOf(HasSubstr("text_encoder/config.json"), HasSubstr("feed_forward_proj"), HasSubstr("gelu_new")));
    EXPECT_THAT(message({{"is_decoder", true}}), HasSubstr("is_decoder"));
    EXPECT_THAT(message({{"num_layers", 1 << 20}}), HasSubstr("num_layers"));
    EXPECT_THAT(message({{"relative_attention_num_buckets", 3}}),
                HasSubstr("relative_attention_num_buckets"));
    EXPECT_THAT(message({{"relative_attention_max_distance", 8}}),
                HasSubstr("relative_attention_max_distance"));
}

}  // namespace
}  // namespace reprise::models
