// What Stable Diffusion 3 is asked and refuses; tests/pipelines/parity_test.cpp holds its results to
// diffusers'.
#include "files/json.h"
#include "files/support.h"
#include "media/metrics.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::filesystem::path kFolder = std::filesystem::path(REPRISE_FIXTURES) / "pipelines";

Pipeline open(const std::filesystem::path& folder) {
    LoadOptions options;
    options.precision = DType::f32;
    return Pipeline::from_pretrained(folder, options);
}

/// A copy of a fixture's folder to spoil.
class Copy {
  public:
    explicit Copy(const char* model) {
        std::filesystem::copy(kFolder / model, path(), std::filesystem::copy_options::recursive);
    }
    std::filesystem::path path() const { return folder_ / "model"; }
    /// Changes a JSON file of the folder.
    template <class Edit>
    void edit(const char* file, Edit&& change) const {
        Json json = load_json(path() / file);
        change(json);
        std::ofstream(path() / file) << json;
    }
    std::string error() const {
        return error_of([&] { open(path()); });
    }

  private:
    test::TempFolder folder_;
};

TEST(Sd3Folder, AbsentEncodersAreNamed) {
    for (const char* name : {"text_encoder", "text_encoder_2"}) {
        const Copy without("tiny-sd35");
        std::filesystem::remove_all(without.path() / name);
        EXPECT_THAT(without.error(), HasSubstr(std::string("no ") + name + ";"));
    }
    const Copy null("tiny-sd35");
    null.edit("model_index.json", [](Json& json) { json["text_encoder_2"] = {nullptr, nullptr}; });
    EXPECT_THAT(null.error(), HasSubstr("no text_encoder_2;"));
    // T5 is optional, but one that the index names has to be there: else the picture would be another.
    const Copy without_t5("tiny-sd3");
    std::filesystem::remove_all(without_t5.path() / "text_encoder_3");
    EXPECT_THAT(without_t5.error(), HasSubstr("text_encoder_3"));
    const Copy without_tokenizer("tiny-sd3");
    std::filesystem::remove_all(without_tokenizer.path() / "tokenizer_3");
    EXPECT_THAT(without_tokenizer.error(), HasSubstr("tokenizer_3"));
}

TEST(Sd3Folder, EncodersOfOtherClassesAndWidthsAreRefused) {
    const Copy plain("tiny-sd35");
    plain.edit("model_index.json", [](Json& json) {
        json["text_encoder_2"] = {"transformers", "CLIPTextModel"};
    });
    EXPECT_THAT(plain.error(), AllOf(HasSubstr("text_encoder_2"), HasSubstr("CLIPTextModelWithProjection")));
    const Copy wide("tiny-sd3");
    wide.edit("transformer/config.json", [](Json& json) { json["joint_attention_dim"] = 40; });
    EXPECT_THAT(wide.error(), AllOf(HasSubstr("text_encoder_3"), HasSubstr("32"), HasSubstr("40")));
    const Copy pooled("tiny-sd35");
    pooled.edit("transformer/config.json", [](Json& json) { json["pooled_projection_dim"] = 30; });
    EXPECT_THAT(pooled.error(), AllOf(HasSubstr("pooled"), HasSubstr("30"), HasSubstr("20")));
    const Copy dynamic("tiny-sd35");
    dynamic.edit("scheduler/scheduler_config.json", [](Json& json) { json["use_dynamic_shifting"] = true; });
    EXPECT_THAT(error_of([&] { open(dynamic.path())({}); }), HasSubstr("use_dynamic_shifting"));
}

TEST(Sd3Folder, NullT5MeansThatItsTokensAreZeros) {
    const Copy null("tiny-sd3");
    null.edit("model_index.json", [](Json& json) {
        json["text_encoder_3"] = {nullptr, nullptr};
        json["tokenizer_3"] = {nullptr, nullptr};
    });
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 2;
    options.decode = false;
    const Tensor without = open(null.path())(options).latents;
    EXPECT_GT(relative_error(without, open(kFolder / "tiny-sd3")(options).latents), 1e-3);
    options.prompt_3 = "blue";
    EXPECT_THAT(error_of([&] { open(null.path())(options); }), HasSubstr("prompt_3"));
}

TEST(Sd3Options, WhatItCannotHonourIsRefused) {
    const auto pipe = open(kFolder / "tiny-sd3");
    const auto message = [&](auto&& change) {
        GenerateOptions options;
        options.prompt = "red apple";
        options.num_inference_steps = 1;
        change(options);
        return error_of([&] { pipe(options); });
    };
    EXPECT_THAT(message([](auto& options) { options.height = 40; }),
                AllOf(HasSubstr("height is 40"), HasSubstr("multiple of 16")));
    EXPECT_THAT(message([](auto& options) { options.width = 112; }),
                AllOf(HasSubstr("width is 112"), HasSubstr("96")));
    EXPECT_THAT(message([](auto& options) { options.max_sequence_length = 0; }),
                HasSubstr("max_sequence_length is 0"));
    EXPECT_THAT(message([](auto& options) { options.max_sequence_length = 513; }),
                HasSubstr("max_sequence_length is 513"));
    EXPECT_THAT(message([](auto& options) { options.skip_guidance_layers = {1}; }),
                HasSubstr("skip_guidance_layers"));
    EXPECT_THAT(message([](auto& options) { options.clip_skip = 2; }), HasSubstr("clip_skip is 2"));
    EXPECT_THAT(message([](auto& options) {
                    options.target_size = {64, 64};
                }),
                HasSubstr("no sizes and crops"));
    EXPECT_THAT(message([](auto& options) { options.num_inference_steps = 0; }),
                HasSubstr("num_inference_steps is 0, expected"));
}

TEST(Sd3Options, DefaultsAreThoseOfDiffusers) {
    const auto pipe = open(kFolder / "tiny-sd35");
    const auto options = pipe.implementation().with_defaults({});
    EXPECT_EQ(options.num_inference_steps, 28);
    EXPECT_EQ(options.guidance_scale, 7.0);
    const auto shape = pipe.implementation().outlook({}).shape;
    EXPECT_EQ(shape.text_tokens, 77 + 256);
    EXPECT_EQ(shape.height, 8);
}

TEST(Sd3Options, AnEmptyPromptIsAPrompt) {
    GenerateOptions options;
    options.num_inference_steps = 1;
    options.guidance_scale = 1;
    const auto output = open(kFolder / "tiny-sd35")(options);
    ASSERT_EQ(output.images.size(), 1U);
    EXPECT_EQ(output.images[0].width(), 64);
}

// Of 6 blocks the last third runs at every second step, beside what lies outside the blocks.
TEST(Sd3Reuse, DefaultRunsTheLastThirdAndKeepsTwoStreams) {
    auto pipe = open(kFolder / "tiny-sd3");
    cachify::prepare(pipe, 4, cachify::make_policy(pipe, "modelopt"));
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 4;
    options.guidance_mode = GuidanceMode::batched;
    options.decode = false;
    const auto report = pipe(options).report;
    ASSERT_EQ(report.steps.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(report.steps[i].reused, i % 2 == 1);
        if (i % 2 == 0) continue;
        EXPECT_GT(report.steps[i].flops_share, 0.2);
        EXPECT_LT(report.steps[i].flops_share, 0.36);
    }
    // block 3's text (2, 333, 16) and picture (2, 16, 16), f32
    EXPECT_EQ(report.kept_bytes, 2U * (333 + 16) * 16 * 4);
}

}  // namespace
}  // namespace reprise
