#include "pipelines/t5_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "files/model_folder.h"
#include "models/weight_names.h"
#include "reprise/error.h"

namespace reprise::pipelines {
namespace {

std::shared_ptr<const ModelSource> folder() {
    return std::make_shared<ModelFolder>(std::string(REPRISE_FIXTURES) + "/pipelines/tiny-pixart",
                                         ModelFolderOptions{"", models::name_rule});
}

Engine engine(DType precision) {
    Engine result;
    result.backend = backends::create("");
    result.options.precision = precision;
    return result;
}

// An encoder in parts computes what the whole one does, and a part never has more bytes than it may.
TEST(T5Text, InPartsItIsTheSame) {
    T5Text whole(folder(), "", engine(DType::f32), {});
    ASSERT_EQ(whole.parts().size(), 1U);
    T5Text parts(folder(), "", engine(DType::f32), {}, 4 * whole.config().layer_parameters());
    ASSERT_EQ(parts.parts().size(), static_cast<std::size_t>(whole.config().num_layers));
    const std::vector<std::string> texts = {"", "a red apple"};
    for (const bool masked : {true, false}) {
        const auto expected = whole(texts, {9, masked});
        const auto found = parts(texts, {9, masked});
        for (std::size_t t = 0; t < texts.size(); ++t) {
            ASSERT_EQ(found[t].hidden_states.shape(), (Shape{1, 9, whole.width()}));
            for (std::size_t i = 0; i < found[t].hidden_states.span<float>().size(); ++i)
                EXPECT_NEAR(found[t].hidden_states.span<float>()[i],
                            expected[t].hidden_states.span<float>()[i], 1e-5);
        }
        EXPECT_EQ(found[0].mask.span<float>()[0], 1);
        EXPECT_EQ(found[0].mask.span<float>()[1], 0);
    }
}

// T5-XXL: what is compiled at once stays within the budget in each precision.
TEST(T5Text, TheLargestEncoderIsDividedByLayers) {
    models::T5EncoderConfig xxl;
    xxl.d_model = 4096;
    xxl.d_ff = 10240;
    xxl.num_heads = 64;
    xxl.gated = true;
    const auto most = static_cast<std::int64_t>(backends::Traits{}.part_bytes);
    EXPECT_LE(xxl.layer_parameters() * 4, most);      // f32: one layer
    EXPECT_LE(2 * xxl.layer_parameters() * 2, most);  // bf16: two
}

TEST(T5Text, NeverRunsInF16) {
    T5Text encoder(folder(), "", engine(DType::f16), {});
    const auto encoded = encoder({"red apple"}, {5, true});
    for (const float value : encoded[0].hidden_states.span<float>()) EXPECT_TRUE(std::isfinite(value));
}

TEST(T5Text, AnotherEncodersFolderIsNamed) {
    const auto other = std::make_shared<ModelFolder>(std::string(REPRISE_FIXTURES) + "/pipelines/tiny-sd");
    try {
        T5Text(other, "", engine(DType::f32), {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("text_encoder/config.json: \"hidden_size\""));
    }
}

}  // namespace
}  // namespace reprise::pipelines
