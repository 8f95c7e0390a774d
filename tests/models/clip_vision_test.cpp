#include "models/clip_vision.h"

#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::ModelFixture;
using testing::run;

class ClipVisionParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(ClipVisionParity, EqualsTransformers) {
    const auto& [name, backend] = GetParam();
    const ModelFixture fixture(name, "CLIPVisionModelWithProjection");
    const auto config = ClipVisionConfig::from(fixture.config);
    const Tensor pixels = fixture.tensor("in.pixel_values");
    const auto graph = build_clip_vision(config, pixels.dim(0), DType::f32, &fixture.weights);
    const auto results = run(backend, graph, {pixels});
    expect_close(results.at("image_embeds"), fixture.tensor("out.image_embeds"), name);
}

INSTANTIATE_TEST_SUITE_P(Cases, ClipVisionParity,
                         ::testing::Combine(::testing::Values("clip_vision", "clip_vision_whole",
                                                              "clip_vision_unprefixed"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

TEST(ClipVisionConfig, WrongValuesAreNamed) {
    const auto message = [](const char* key, const Json& value) {
        return testing::usage_message([&] {
            ClipVisionConfig::from({{{key, value}}, "image_encoder/config.json"});
        });
    };
    for (const auto& [key, value] : {std::pair<const char*, Json>{"hidden_size", 0},
                                     {"num_attention_heads", 7},
                                     {"patch_size", 225},
                                     {"hidden_act", "mish"},
                                     {"image_size", "large"},
                                     {"num_hidden_layers", 1 << 20}})
        EXPECT_THAT(message(key, value), AllOf(HasSubstr("image_encoder/config.json"), HasSubstr(key)));
}

}  // namespace
}  // namespace reprise::models
