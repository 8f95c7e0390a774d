#include "models/clip_text.h"

#include "support.h"

namespace reprise::models {
namespace {

using ::testing::AllOf;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::ModelFixture;

class ClipTextParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
  protected:
    ClipTextParity()
        : fixture_(std::get<0>(GetParam()), class_name()),
          config_(ClipTextConfig::from(fixture_.config, class_name())),
          ids_(fixture_.tensor("in.input_ids")) {}

    static std::string_view class_name() {
        return std::get<0>(GetParam()).starts_with("clip_projection") ? "CLIPTextModelWithProjection"
                                                                      : "CLIPTextModel";
    }

    testing::Results run(const ClipTextOutputs& outputs) {
        const auto graph =
            build_clip_text(config_, {ids_.dim(0), ids_.dim(1)}, outputs, DType::f32, &fixture_.weights);
        std::vector<Tensor> inputs = {ids_};
        if (outputs.pooled) inputs.push_back(pooled_index(ids_, config_.eos_token_id));
        return testing::run(std::get<1>(GetParam()), graph, inputs);
    }

    ModelFixture fixture_;
    ClipTextConfig config_;
    Tensor ids_;
};

TEST_P(ClipTextParity, EveryHiddenState) {
    // Where compiling takes long, those that pipelines take.
    const bool all = std::get<1>(GetParam()) == "reference";
    for (std::int64_t k = 1; k <= (all ? config_.num_hidden_layers + 1 : 2); ++k) {
        const auto results = run({.hidden_state = k, .final_norm = false, .pooled = false});
        ASSERT_EQ(results.size(), 1U);
        expect_close(results.at("hidden_states"), fixture_.tensor("out.hidden_states." + std::to_string(k)),
                     "hidden state " + std::to_string(k));
    }
}

TEST_P(ClipTextParity, NormedHiddenStates) {
    expect_close(run({.hidden_state = 1, .final_norm = true}).at("hidden_states"),
                 fixture_.tensor("out.last_hidden_state"), "last");
    expect_close(run({.hidden_state = 2, .final_norm = true}).at("hidden_states"),
                 fixture_.tensor("out.normed_hidden_states.2"), "clip_skip 1");
}

TEST_P(ClipTextParity, PooledToken) {
    const auto both = run({.hidden_state = 2, .final_norm = false, .pooled = true});
    expect_close(both.at("pooled"), fixture_.tensor("out.pooled"), "pooled");
    expect_close(both.at("hidden_states"), fixture_.tensor("out.hidden_states.2"), "penultimate");
    EXPECT_EQ(both.at("pooled").dim(1), config_.pooled_width());

    const auto alone = run({.hidden_state = 0, .final_norm = false, .pooled = true});
    ASSERT_EQ(alone.size(), 1U);
    expect_close(alone.at("pooled"), fixture_.tensor("out.pooled"), "pooled alone");
}

INSTANTIATE_TEST_SUITE_P(Cases, ClipTextParity,
                         ::testing::Combine(::testing::Values("clip_quick_gelu", "clip_whole",
                                                              "clip_projection", "clip_projection_prefixed"),
                                            ::testing::ValuesIn(backends::available())),
                         testing::case_name);

TEST(ClipTextGraph, LayersThatNothingNeedsAreLeftOut) {
    const auto config = ClipTextConfig::from({Json::object(), "config.json"}, "CLIPTextModel");
    const auto attentions = [&](const ClipTextOutputs& outputs) {
        const auto graph = build_clip_text(config, {1, 77}, outputs, DType::f32, nullptr);
        return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                             [](const auto& node) { return node.op == graph::Op::attention; });
    };
    EXPECT_EQ(attentions({.hidden_state = 1}), 12);
    EXPECT_EQ(attentions({.hidden_state = 2}), 11);
    EXPECT_EQ(attentions({.hidden_state = 2, .final_norm = true}), 11);
    EXPECT_EQ(attentions({.hidden_state = 13}), 0);
    EXPECT_EQ(attentions({.hidden_state = 2, .pooled = true}), 12);
}

TEST(ClipTextGraph, ClipSkipAndTextLengthBeyondTheModelAreRefused) {
    const auto config = ClipTextConfig::from({Json::object(), "config.json"}, "CLIPTextModel");
    EXPECT_THAT(testing::usage_message([&] {
                    build_clip_text(config, {1, 77}, {.hidden_state = 14}, DType::f32, nullptr);
                }),
                AllOf(HasSubstr("clip_skip"), HasSubstr("12 layers")));
    EXPECT_THAT(testing::usage_message([&] {
                    build_clip_text(config, {1, 78}, {}, DType::f32, nullptr);
                }),
                AllOf(HasSubstr("78"), HasSubstr("77")));
}

TEST(ClipTextConfig, WrongValuesAreNamed) {
    const auto message = [](const Json& json) {
        return testing::usage_message([&] {
            ClipTextConfig::from({json, "text_encoder/config.json"}, "CLIPTextModelWithProjection");
        });
    };
    EXPECT_THAT(message({{"hidden_act", "mish"}}),
                AllOf(HasSubstr("text_encoder/config.json"), HasSubstr("\"hidden_act\" is \"mish\""),
                      HasSubstr("quick_gelu")));
    EXPECT_THAT(message({{"num_attention_heads", 7}}), HasSubstr("num_attention_heads"));
    EXPECT_THAT(message({{"hidden_size", 0}}), HasSubstr("hidden_size"));
    EXPECT_THAT(message({{"num_hidden_layers", 1 << 20}}), HasSubstr("num_hidden_layers"));
    EXPECT_THAT(message({{"projection_dim", -1}}), HasSubstr("projection_dim"));
    EXPECT_THAT(message({{"text_config", {{"vocab_size", 0}}}}), HasSubstr("vocab_size"));
    EXPECT_THAT(message({{"text_config", nullptr}}), HasSubstr("text_config"));
    EXPECT_THAT(message({{"hidden_act", nullptr}}), HasSubstr("\"hidden_act\" is null"));
    EXPECT_THAT(message({{"use_attention_mask", true}}), HasSubstr("use_attention_mask"));
}

TEST(PooledToken, LargestIdWhenEosIsTwoElseFirstEndToken) {
    const std::vector<std::int64_t> ids = {49406, 320, 49407, 5, 49407, 49407};
    EXPECT_EQ(pooled_position(ids, 2), 2);
    EXPECT_EQ(pooled_position(ids, 49407), 2);
    EXPECT_EQ(pooled_position(ids, 5), 3);
    EXPECT_EQ(pooled_position(ids, 7), 0);
    const std::vector<std::int64_t> two_rows = {1, 9, 9, 0, 0, 9};
    const Tensor index = pooled_index(Tensor::from({2, 3}, two_rows), 9);
    EXPECT_THAT(index.span<std::int64_t>(), ::testing::ElementsAre(1, 5));
}

TEST(TokenIds, ThoseOfAnotherVocabularyAreRefused) {
    const std::vector<std::int64_t> ids = {0, 59, 60};
    EXPECT_NO_THROW(check_token_ids(ids, 61));
    EXPECT_THAT(testing::usage_message([&] { check_token_ids(ids, 60); }),
                AllOf(HasSubstr("60"), HasSubstr("tokenizer")));
    const std::vector<std::int64_t> negative = {-1};
    EXPECT_THAT(testing::usage_message([&] { check_token_ids(negative, 60); }), HasSubstr("-1"));
}

}  // namespace
}  // namespace reprise::models
