#include "models/weight_names.h"

#include "core/map_weights.h"
#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

MapWeights source_of(const std::vector<std::string>& names) {
    MapWeights::Map map;
    float value = 0;
    for (const auto& name : names) {
        map.emplace(name, Tensor::from({1}, std::vector<float>{value}));
        value += 1;
    }
    return MapWeights(std::move(map), "the folder");
}

float value_of(const WeightSource& weights, std::string_view name) {
    return weights.find(name).value().span<float>()[0];
}

TEST(NamedWeights, ClipTextWithAndWithoutPrefix) {
    const auto without = source_of({"embeddings.token_embedding.weight", "final_layer_norm.bias"});
    const NamedWeights named(without, "CLIPTextModel");
    EXPECT_THAT(named.names(), ElementsAre("text_model.embeddings.token_embedding.weight",
                                           "text_model.final_layer_norm.bias"));
    EXPECT_EQ(value_of(named, "text_model.final_layer_norm.bias"), 1);
    EXPECT_FALSE(named.find("final_layer_norm.bias"));

    const auto with = source_of({"text_model.final_layer_norm.bias", "text_projection.weight"});
    EXPECT_THAT(NamedWeights(with, "CLIPTextModelWithProjection").names(),
                ElementsAre("text_model.final_layer_norm.bias", "text_projection.weight"));
}

TEST(NamedWeights, ClipTextLeavesOutWhatIsNotItsOwn) {
    const auto source = source_of({"text_model.embeddings.position_ids", "text_projection.weight",
                                   "vision_model.embeddings.position_ids", "vision_model.post_layernorm.bias",
                                   "visual_projection.weight", "text_model.final_layer_norm.bias"});
    EXPECT_THAT(NamedWeights(source, "CLIPTextModel").names(),
                ElementsAre("text_model.final_layer_norm.bias"));
}

TEST(NamedWeights, OldAttentionNamesOfAutoencoders) {
    const auto source = source_of(
        {"decoder.mid_block.attentions.0.query.weight", "decoder.mid_block.attentions.0.key.bias",
         "encoder.mid_block.attentions.0.value.weight", "encoder.mid_block.attentions.0.proj_attn.weight",
         "encoder.mid_block.attentions.0.group_norm.weight", "decoder.conv_in.weight"});
    const NamedWeights named(source, "AutoencoderKL");
    EXPECT_THAT(named.names(),
                ElementsAre("decoder.conv_in.weight", "decoder.mid_block.attentions.0.to_k.bias",
                            "decoder.mid_block.attentions.0.to_q.weight",
                            "encoder.mid_block.attentions.0.group_norm.weight",
                            "encoder.mid_block.attentions.0.to_out.0.weight",
                            "encoder.mid_block.attentions.0.to_v.weight"));
    EXPECT_EQ(value_of(named, "decoder.mid_block.attentions.0.to_q.weight"), 0);
}

TEST(NamedWeights, ScalarsAreNotLeftOver) {
    MapWeights::Map map;
    map.emplace("logit_scale", Tensor(DType::f32, {}));
    map.emplace("conv_in.weight", Tensor(DType::f32, {1}));
    const MapWeights source(std::move(map));
    EXPECT_THAT(NamedWeights(source, "UNet2DConditionModel").names(), ElementsAre("conv_in.weight"));
}

TEST(NamedWeights, TwoNamesOfOneWeightAreRefused) {
    const auto source = source_of({"final_layer_norm.bias", "text_model.final_layer_norm.bias"});
    EXPECT_THAT(testing::usage_message([&] { NamedWeights(source, "CLIPTextModel"); }),
                AllOf(HasSubstr("the folder"), HasSubstr("text_model.final_layer_norm.bias")));
}

TEST(NamedWeights, NoSourceStaysNone) {
    EXPECT_EQ(named_weights(nullptr, "AutoencoderKL"), nullptr);
}

}  // namespace
}  // namespace reprise::models
