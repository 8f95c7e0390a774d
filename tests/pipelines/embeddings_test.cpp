#include "reprise/embeddings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "files/safetensors.h"
#include "files/support.h"
#include "pipelines/support.h"
#include "reprise/error.h"

namespace reprise {
namespace {

using testing::error_of;
using testing::open_fixture;

GenerateOptions run_of(const std::string& prompt) {
    GenerateOptions options;
    options.prompt = prompt;
    options.num_inference_steps = 3;
    options.guidance_scale = 4;
    options.seed = 5;
    options.decode = false;
    return options;
}

class Embeddings : public ::testing::TestWithParam<std::string> {};

TEST_P(Embeddings, GiveWhatTheTextsGive) {
    const Pipeline pipe = open_fixture(GetParam());
    for (const bool negative : {false, true}) {
        GenerateOptions texts = run_of("");
        texts.prompts = {"red apple", "a dog"};
        if (negative) texts.negative_prompt = "blue";
        texts.num_images_per_prompt = 2;
        const Tensor expected = pipe(texts).latents;

        GenerateOptions encoded = run_of("");
        encoded.num_images_per_prompt = 2;
        encoded.embeddings = pipe.encode_prompt(texts);
        EXPECT_EQ(encoded.embeddings->prompts, texts.prompts);
        EXPECT_TRUE(testing::same_bits(pipe(encoded).latents, expected));
    }
}

INSTANTIATE_TEST_SUITE_P(Models, Embeddings,
                         ::testing::Values("tiny-sdxl", "tiny-sd", "tiny-sd3", "tiny-sd35", "tiny-pixart",
                                           "tiny-pixart-ms"),
                         [](const auto& name) {
                             std::string text = name.param;
                             std::replace(text.begin(), text.end(), '-', '_');
                             return text;
                         });

TEST(EmbeddingsFile, GoesThereAndBackAndNeedsNoTextEncoders) {
    const test::TempFolder folder;
    const Pipeline pipe = open_fixture("tiny-pixart");
    const GenerateOptions texts = run_of("red apple");
    const PromptEmbeddings embeddings = pipe.encode_prompt(texts);
    save_embeddings(embeddings, folder / "e.safetensors");
    const PromptEmbeddings loaded = load_embeddings(folder / "e.safetensors");
    EXPECT_EQ(loaded.prompts, std::vector<std::string>{"red apple"});
    EXPECT_TRUE(testing::same_bits(loaded.prompt_embeds, embeddings.prompt_embeds));
    EXPECT_TRUE(
        testing::same_bits(loaded.negative_prompt_attention_mask, embeddings.negative_prompt_attention_mask));
    EXPECT_FALSE(loaded.pooled_prompt_embeds.defined());

    namespace fs = std::filesystem;
    fs::copy(fs::path(REPRISE_FIXTURES) / "pipelines/tiny-pixart", folder / "model",
             fs::copy_options::recursive);
    fs::remove_all(folder / "model" / "text_encoder");
    fs::remove_all(folder / "model" / "tokenizer");
    LoadOptions options;
    options.precision = DType::f32;
    EXPECT_THROW(Pipeline::from_pretrained(folder / "model", options), Error);
    options.text_encoders = false;
    const Pipeline without = Pipeline::from_pretrained(folder / "model", options);
    GenerateOptions encoded = run_of("");
    encoded.embeddings = loaded;
    EXPECT_TRUE(testing::same_bits(without(encoded).latents, pipe(texts).latents));
    EXPECT_NE(error_of([&] { without(texts); }).find("takes prompts as embeddings"), std::string::npos);
    EXPECT_NE(error_of([&] { without.encode_prompt(texts); }).find("takes prompts as embeddings"),
              std::string::npos);
}

TEST(EmbeddingsFile, TakesWhatOtherProgramsWrite) {
    const test::TempFolder folder;
    Tensor half = Tensor::from({1, 2, 3}, std::span<const float>(std::vector<float>(6, 0.5F))).to(DType::f16);
    const std::vector<std::int64_t> ones = {1, 0};
    write_safetensors(folder / "e.safetensors",
                      {{"prompt_embeds", half},
                       {"prompt_attention_mask", Tensor::from({1, 2}, std::span<const std::int64_t>(ones))}});
    const PromptEmbeddings loaded = load_embeddings(folder / "e.safetensors");
    EXPECT_EQ(loaded.prompt_embeds.type(), DType::f32);
    EXPECT_EQ(loaded.prompt_embeds.span<float>()[5], 0.5F);
    EXPECT_EQ(loaded.prompt_attention_mask.span<float>()[0], 1.0F);
    EXPECT_EQ(loaded.prompt_attention_mask.span<float>()[1], 0.0F);
    EXPECT_TRUE(loaded.prompts.empty());

    write_safetensors(folder / "other.safetensors", {{"latents", half}});
    EXPECT_NE(
        error_of([&] { load_embeddings(folder / "other.safetensors"); }).find("it has a tensor \"latents\""),
        std::string::npos);
    write_safetensors(folder / "half.safetensors", {{"negative_prompt_embeds", half}});
    EXPECT_NE(
        error_of([&] { load_embeddings(folder / "half.safetensors"); }).find("no tensor \"prompt_embeds\""),
        std::string::npos);
    write_safetensors(folder / "broken.safetensors", {{"prompt_embeds", half}}, {{"encoded", "[}"}});
    EXPECT_NE(error_of([&] { load_embeddings(folder / "broken.safetensors"); }).find("broken.safetensors"),
              std::string::npos);
}

TEST(EmbeddingsOption, IsRefusedWhereItDoesNotFit) {
    const Pipeline pipe = open_fixture("tiny-sdxl");
    const PromptEmbeddings good = pipe.encode_prompt(run_of("red apple"));
    const auto refused = [&](const char* what, const auto& change) {
        GenerateOptions options = run_of("");
        options.embeddings = good;
        change(options);
        const std::string error = error_of([&] { pipe(options); });
        EXPECT_NE(error.find(what), std::string::npos) << error;
    };
    refused("a prompt is given beside", [](auto& o) { o.prompt = "a dog"; });
    refused("a negative prompt is given beside", [](auto& o) { o.negative_prompt = ""; });
    refused("clip_skip is given beside", [](auto& o) { o.clip_skip = 1; });
    refused("pooled_prompt_embeds is not given", [](auto& o) { o.embeddings->pooled_prompt_embeds = {}; });
    refused("negative_prompt_embeds is not given",
            [](auto& o) { o.embeddings->negative_prompt_embeds = {}; });
    refused("prompt_attention_mask is given, but", [](auto& o) {
        o.embeddings->prompt_attention_mask = Tensor(DType::f32, {1, 77});
    });
    refused("prompt_embeds has shape", [](auto& o) {
        o.embeddings->prompt_embeds = Tensor(DType::f32, {1, 77, 3});
    });
    refused("prompt_embeds has shape", [](auto& o) { o.embeddings->prompt_embeds = {}; });
    refused("negative_prompt_embeds has shape", [](auto& o) {
        Shape shape = o.embeddings->prompt_embeds.shape();
        ++shape[0];
        o.embeddings->negative_prompt_embeds = Tensor(DType::f32, shape);
    });
    refused("prompt_embeds holds f16",
            [](auto& o) { o.embeddings->prompt_embeds = o.embeddings->prompt_embeds.to(DType::f16); });

    GenerateOptions alone = run_of("");
    alone.embeddings = good;
    alone.embeddings->negative_prompt_embeds = {};
    alone.embeddings->negative_pooled_prompt_embeds = {};
    alone.guidance_scale = 1;
    GenerateOptions texts = run_of("red apple");
    texts.guidance_scale = 1;
    EXPECT_TRUE(testing::same_bits(pipe(alone).latents, pipe(texts).latents));

    const Pipeline video = open_fixture("tiny-svd");
    EXPECT_NE(error_of([&] { video.encode_prompt(run_of("red apple")); }).find("takes no prompts"),
              std::string::npos);
}

}  // namespace
}  // namespace reprise
