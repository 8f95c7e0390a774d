// Each option, changed from its default, on each pipeline: honoured, or refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "options/changed.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"
#include "support.h"

namespace reprise {
namespace {

using options::About;
using options::Row;
using options::Table;
using options::Type;
using ::testing::AllOf;
using testing::changed;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::shared_fixture;

class OptionsOfPipelines : public ::testing::TestWithParam<const char*> {};

/// What a call with these options would say before anything runs.
std::string refusal(const Pipeline& pipe, const GenerateOptions& options) {
    return error_of([&] { pipe.implementation().outlook(options); });
}

TEST_P(OptionsOfPipelines, AreHonouredOrRefusedByName) {
    const Pipeline& pipe = shared_fixture(GetParam(), "reference");
    const Table& table = options::generate_options();
    EXPECT_EQ(refusal(pipe, {}), "");
    int honoured = 0, refused = 0;
    for (const Row& row : table.rows) {
        SCOPED_TRACE(row.name);
        if (row.type == Type::callback) continue;
        GenerateOptions options;
        if (row.set != nullptr) row.set(&options, changed(row, table), row, "the test");
        if (row.name == "clip_skip") options.clip_skip = 1;
        if (row.name == "prompt_texts") options.prompts = {"red apple"};
        if (row.name == "image") options.image = Image(8, 8);
        if (row.name == "latents") options.latents = Tensor(DType::f32, {1, 4, 8, 8});
        if (row.name == "embeddings") options.embeddings.emplace();
        if (row.name == "start_latents") options.start_latents = Tensor(DType::f32, {1, 4, 8, 8});
        if (row.about == About::parts && row.name != "denoising_end" &&
            pipe.implementation().honours(row.about)) {  // they go together
            options.denoising_start = 0.5;
            options.start_latents = Tensor(DType::f32, {1, 4, 8, 8});
        }
        if (row.name == "scheduler") options.scheduler = pipe.implementation().scheduler({})->name();
        if (row.name == "width") options.width = 64;
        if (row.name == "height") options.height = 64;
        const std::string message = refusal(pipe, options);
        if (pipe.implementation().honours(row.about)) {
            if (row.name == "embeddings") {
                EXPECT_THAT(message, HasSubstr("prompt_embeds has shape"));
            } else {
                EXPECT_EQ(message, "");
            }
            ++honoured;
        } else {
            const std::string name = row.name == "prompt_texts" ? "prompt" : std::string(row.name);
            EXPECT_THAT(message,
                        AllOf(HasSubstr(name), HasSubstr(" but " + pipe.class_name() + " does not take it: "),
                              Not(HasSubstr("it has none"))));
            ++refused;
        }
    }
    EXPECT_GT(honoured, 10);
    EXPECT_GT(refused, 5);
}

TEST_P(OptionsOfPipelines, OfOnePromptAreRefusedAlike) {
    const Pipeline& pipe = shared_fixture(GetParam(), "reference");
    const Table& table = options::prompt_texts_options();
    for (const Row& row : table.rows) {
        GenerateOptions options;
        options.prompts = {"a", "b"};
        options.prompt_texts.resize(2);
        row.set(&options.prompt_texts[1], "blue", row, "the test");
        const bool honours = pipe.implementation().honours(row.about);
        const std::string message = refusal(pipe, options);
        if (honours)
            EXPECT_EQ(message, "") << row.name;
        else
            EXPECT_THAT(message, HasSubstr("does not take it")) << row.name;
    }
}

TEST_P(OptionsOfPipelines, OutOfTheirDomainAreRefusedWhereverTheyAreSet) {
    const Pipeline& pipe = shared_fixture(GetParam(), "reference");
    GenerateOptions options;
    options.num_images_per_prompt = 0;
    EXPECT_EQ(refusal(pipe, options), "num_images_per_prompt is 0, expected an integer from 1 to 1000000");
    options = {};
    options.video.fps = 0;
    EXPECT_EQ(refusal(pipe, options), "video.fps is 0, expected an integer from 1 to 1000");
}

INSTANTIATE_TEST_SUITE_P(Each, OptionsOfPipelines,
                         ::testing::Values("tiny-pixart", "tiny-pixart-ms", "tiny-pixart-sigma", "tiny-sd",
                                           "tiny-sd3", "tiny-sd35", "tiny-sdxl", "tiny-svd"),
                         [](const auto& each) {
                             std::string name = each.param;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

TEST(OptionsOfPipeline, OpenedWithoutTextEncoders) {
    LoadOptions load;
    load.backend = "reference";
    load.text_encoders = false;
    const Pipeline pipe =
        Pipeline::from_pretrained(std::filesystem::path(REPRISE_FIXTURES) / "pipelines/tiny-sd", load);
    GenerateOptions options;
    options.negative_prompt = "blue";
    EXPECT_EQ(
        refusal(pipe, options),
        "negative_prompt is \"blue\", but StableDiffusionPipeline does not take it: opened without text "
        "encoders, it takes prompts as embeddings");
    load.threads = 5000;
    EXPECT_EQ(error_of([&] {
                  Pipeline::from_pretrained(std::filesystem::path(REPRISE_FIXTURES) / "pipelines/tiny-sd",
                                            load);
              }),
              "threads is 5000, expected an integer from 0 to 4096");
}

}  // namespace
}  // namespace reprise
