#include "models/weight_names.h"

#include "core/map_weights.h"
#include "graph/builder.h"
#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<const WeightSource> source_of(const std::vector<std::string>& names) {
    MapWeights::Map map;
    float value = 0;
    for (const auto& name : names) {
        map.emplace(name, Tensor::from({1}, std::vector<float>{value}));
        value += 1;
    }
    return std::make_shared<MapWeights>(std::move(map), "the folder");
}

float value_of(const WeightSource& weights, std::string_view name) {
    return weights.find(name).value().span<float>()[0];
}

TEST(WeightNames, ClipTextWithAndWithoutPrefix) {
    const auto without = source_of({"embeddings.token_embedding.weight", "final_layer_norm.bias"});
    const RenamedWeights named(without, name_rule("CLIPTextModel"));
    EXPECT_THAT(named.names(), ElementsAre("text_model.embeddings.token_embedding.weight",
                                           "text_model.final_layer_norm.bias"));
    EXPECT_EQ(value_of(named, "text_model.final_layer_norm.bias"), 1);
    EXPECT_FALSE(named.find("final_layer_norm.bias"));

    const auto with = source_of({"text_model.final_layer_norm.bias", "text_projection.weight"});
    EXPECT_THAT(RenamedWeights(with, name_rule("CLIPTextModelWithProjection")).names(),
                ElementsAre("text_model.final_layer_norm.bias", "text_projection.weight"));
}

TEST(WeightNames, ClipTextLeavesOutWhatIsNotItsOwn) {
    const auto source = source_of({"text_model.embeddings.position_ids", "text_projection.weight",
                                   "vision_model.embeddings.position_ids", "vision_model.post_layernorm.bias",
                                   "visual_projection.weight", "text_model.final_layer_norm.bias"});
    EXPECT_THAT(RenamedWeights(source, name_rule("CLIPTextModel")).names(),
                ElementsAre("text_model.final_layer_norm.bias"));
}

TEST(WeightNames, OldAttentionNamesOfAutoencoders) {
    const auto source = source_of(
        {"decoder.mid_block.attentions.0.query.weight", "decoder.mid_block.attentions.0.key.bias",
         "encoder.mid_block.attentions.0.value.weight", "encoder.mid_block.attentions.0.proj_attn.weight",
         "encoder.mid_block.attentions.0.group_norm.weight", "decoder.conv_in.weight"});
    const RenamedWeights named(source, name_rule("AutoencoderKL"));
    EXPECT_THAT(named.names(),
                ElementsAre("decoder.conv_in.weight", "decoder.mid_block.attentions.0.to_k.bias",
                            "decoder.mid_block.attentions.0.to_q.weight",
                            "encoder.mid_block.attentions.0.group_norm.weight",
                            "encoder.mid_block.attentions.0.to_out.0.weight",
                            "encoder.mid_block.attentions.0.to_v.weight"));
    EXPECT_EQ(value_of(named, "decoder.mid_block.attentions.0.to_q.weight"), 0);
}

TEST(WeightNames, AnotherNameOfOneWeightIsASpareOne) {
    const auto source = source_of({"encoder.embed_tokens.weight", "shared.weight", "decoder.block.0.weight"});
    const RenamedWeights both(source, name_rule("T5EncoderModel"));
    EXPECT_THAT(both.names(), ElementsAre("shared.weight"));
    EXPECT_EQ(value_of(both, "shared.weight"), 1);
    const RenamedWeights one(source_of({"encoder.embed_tokens.weight"}), name_rule("T5EncoderModel"));
    EXPECT_THAT(one.names(), ElementsAre("shared.weight"));
    EXPECT_EQ(quoted(one, "shared.weight"), "'shared.weight' (in the file: 'encoder.embed_tokens.weight')");
    EXPECT_EQ(quoted(both, "shared.weight"), "'shared.weight'");
}

TEST(WeightNames, ErrorsHaveTheOneInTheFileToo) {
    const RenamedWeights named(source_of({"encoder.mid_block.attentions.0.query.weight"}),
                               name_rule("AutoencoderKL"));
    graph::Builder b("vae", DType::f32, &named);
    EXPECT_THAT(testing::usage_message([&] {
                    b.linear(b.real_input("x", {1, 3}), "encoder.mid_block.attentions.0.to_q", 2);
                }),
                AllOf(HasSubstr("the folder"),
                      HasSubstr("'encoder.mid_block.attentions.0.to_q.weight' (in the "
                                "file: 'encoder.mid_block.attentions.0.query.weight')"),
                      HasSubstr("(2, 3)")));
}

TEST(WeightNames, AreTheSamePrecisionByPrecision) {
    const auto source = source_of({"final_layer_norm.bias"});
    const RenamedWeights named(source, name_rule("CLIPTextModel"));
    EXPECT_EQ(named.identity("text_model.final_layer_norm.bias"), source->identity("final_layer_norm.bias"));
    EXPECT_EQ(named.converted(DType::bf16), nullptr);  // as its source
}

TEST(WeightNames, TwoNamesOfOneWeightAreRefused) {
    const auto source = source_of({"final_layer_norm.bias", "text_model.final_layer_norm.bias"});
    EXPECT_THAT(testing::usage_message([&] { RenamedWeights(source, name_rule("CLIPTextModel")); }),
                AllOf(HasSubstr("the folder"), HasSubstr("text_model.final_layer_norm.bias")));
}

TEST(WeightNames, DenoisersHaveTheirsForGood) {
    EXPECT_EQ(name_rule("UNet2DConditionModel"), nullptr);
    const auto source = source_of({"conv_in.weight"});
    EXPECT_EQ(renamed(source, nullptr), source);
}

}  // namespace
}  // namespace reprise::models
