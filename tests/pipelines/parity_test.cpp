// Whole runs against diffusers, with and without reuse: tests/parity/*pipelines.py wrote what is expected.
#include <gtest/gtest.h>

#include <algorithm>

#include "files/json.h"
#include "files/model_folder.h"
#include "files/safetensors.h"
#include "media/metrics.h"
#include "pipelines/picture_decoder.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

using testing::largest_difference;

const std::filesystem::path kFolder = std::filesystem::path(REPRISE_FIXTURES) / "pipelines";

/// A whole run of a fixture: runs.json lists its options, runs.safetensors has its results; so for each
/// family of pipelines, under "<family>_runs".
struct Fixture {
    Json run;
    std::filesystem::path results;
};

std::vector<Fixture> all_fixtures() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(kFolder))
        if (entry.path().filename().string().ends_with("runs.json")) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<Fixture> fixtures;
    for (auto& file : files)
        for (const Json& run : load_json(file))
            fixtures.push_back({run, std::filesystem::path(file).replace_extension("safetensors")});
    return fixtures;
}

Fixture fixture_of(const std::string& name) {
    for (Fixture& fixture : all_fixtures())
        if (fixture.run["name"] == name) return fixture;
    throw std::runtime_error("no such run: " + name);
}

std::pair<int, int> pair_of(const Json& json) {
    return {json[0].get<int>(), json[1].get<int>()};
}

GenerateOptions options_of(const Json& run) {
    GenerateOptions options;
    for (const auto& [key, value] : run.items()) {
        if (key == "prompt") {
            if (value.is_array())
                options.prompts = value.get<std::vector<std::string>>();
            else
                options.prompt = value.get<std::string>();
        } else if (key == "prompt_2") {
            options.prompt_2 = value.get<std::string>();
        } else if (key == "negative_prompt") {
            options.negative_prompt = value.get<std::string>();
        } else if (key == "prompt_3") {
            options.prompt_3 = value.get<std::string>();
        } else if (key == "negative_prompt_2") {
            options.negative_prompt_2 = value.get<std::string>();
        } else if (key == "negative_prompt_3") {
            options.negative_prompt_3 = value.get<std::string>();
        } else if (key == "max_sequence_length") {
            options.max_sequence_length = value.get<int>();
        } else if (key == "clean_caption") {
            options.clean_caption = value.get<bool>();
        } else if (key == "use_resolution_binning") {
            options.use_resolution_binning = value.get<bool>();
        } else if (key == "num_inference_steps") {
            options.num_inference_steps = value.get<int>();
        } else if (key == "guidance_scale") {
            options.guidance_scale = value.get<double>();
        } else if (key == "guidance_rescale") {
            options.guidance_rescale = value.get<double>();
        } else if (key == "seed") {
            options.seed = value.get<std::uint64_t>();
        } else if (key == "scheduler") {
            options.scheduler = value.get<std::string>();
        } else if (key == "num_images_per_prompt") {
            options.num_images_per_prompt = value.get<int>();
        } else if (key == "height") {
            options.height = value.get<int>();
        } else if (key == "width") {
            options.width = value.get<int>();
        } else if (key == "clip_skip") {
            options.clip_skip = value.get<int>();
        } else if (key == "original_size") {
            options.original_size = pair_of(value);
        } else if (key == "target_size") {
            options.target_size = pair_of(value);
        } else if (key == "crops_coords_top_left") {
            options.crops_coords_top_left = pair_of(value);
        } else if (key == "denoising_start") {
            options.denoising_start = value.get<double>();
        } else if (key == "denoising_end") {
            options.denoising_end = value.get<double>();
        } else if (key == "aesthetic_score") {
            options.aesthetic_score = value.get<double>();
        } else if (key == "negative_aesthetic_score") {
            options.negative_aesthetic_score = value.get<double>();
        } else if (key != "name" && key != "start_latents" && key != "model" && key != "cache") {
            ADD_FAILURE() << "the fixture has an option that the test does not know: " << key;
        }
    }
    options.decode = false;
    return options;
}

/// The folder's pipeline with the run's reuse.
Pipeline& pipeline_of(const Fixture& fixture) {
    auto& pipe = testing::shared_fixture(fixture.run["model"].get<std::string>());
    if (!fixture.run.contains("cache")) return pipe;
    const int steps = fixture.run["num_inference_steps"].get<int>();
    if (fixture.run["cache"] == "default")
        cachify::prepare(pipe, steps, cachify::make_policy(pipe, "modelopt"));
    else
        cachify::prepare(pipe, steps, cachify::parse_config(fixture.run["cache"].dump(), "fixture"));
    return pipe;
}

struct Param {
    std::string name;
    GuidanceMode mode;
};

void expect_picture(const Image& image, const Tensor& pixels) {
    const Image theirs(static_cast<int>(pixels.dim(1)), static_cast<int>(pixels.dim(0)),
                       {pixels.span<std::uint8_t>().begin(), pixels.span<std::uint8_t>().end()});
    EXPECT_GT(psnr(image, theirs), 40);
}

/// Of tensors with as many rows, or of each row and the only one of the other.
Tensor minus(const Tensor& a, const Tensor& b) {
    Tensor result = a.clone();
    const auto from = b.span<float>();
    auto values = result.span<float>();
    for (std::size_t i = 0; i < values.size(); ++i) values[i] -= from[i % from.size()];
    return result;
}

class Parity : public ::testing::TestWithParam<Param> {};

// The final latents, and the picture where the fixture has one.
TEST_P(Parity, ResultsAreDiffusers) {
    const Fixture fixture = fixture_of(GetParam().name);
    const SafetensorsFile results(fixture.results);
    const auto latents = results.find(GetParam().name);
    const auto pixels = results.find("image/" + GetParam().name);
    auto options = options_of(fixture.run);
    options.guidance_mode = GetParam().mode;
    options.decode = pixels.has_value();
    if (fixture.run.contains("start_latents"))
        options.start_latents = *results.find(fixture.run["start_latents"].get<std::string>());
    const auto output = pipeline_of(fixture)(options);
    ASSERT_TRUE(latents);
    ASSERT_EQ(output.latents.shape(), latents->shape());
    // what starts from latents changes them little: the changes are compared
    const double difference = options.start_latents.defined()
                                  ? largest_difference(minus(output.latents, options.start_latents),
                                                       minus(*latents, options.start_latents))
                                  : largest_difference(output.latents, *latents);
    RecordProperty("difference", std::to_string(difference));
    EXPECT_LT(difference, 1e-3);
    if (pixels) expect_picture(output.images.at(0), *pixels);
}

std::vector<Param> all_runs() {
    std::vector<Param> params;
    for (const Fixture& fixture : all_fixtures()) {
        const auto name = fixture.run["name"].get<std::string>();
        params.push_back({name, GuidanceMode::batched});
        if (fixture.run.value("guidance_scale", 2.0) > 1) params.push_back({name, GuidanceMode::split});
    }
    return params;
}

INSTANTIATE_TEST_SUITE_P(Runs, Parity, ::testing::ValuesIn(all_runs()), [](const auto& test) {
    return test.param.name + (test.param.mode == GuidanceMode::split ? "_split" : "_batched");
});

// As a call does it that says nothing of guidance: the faster way.
TEST(Pictures, AreDiffusersWithAutomaticGuidance) {
    const Fixture fixture = fixture_of("full");
    auto options = options_of(fixture.run);
    options.decode = true;
    expect_picture(pipeline_of(fixture)(options).images.at(0),
                   *SafetensorsFile(fixture.results).find("image/full"));
}

TEST(PictureDecoder, TilesAsDiffusersDoes) {
    const SafetensorsFile expected(kFolder / "runs.safetensors");
    const auto folder = std::make_shared<ModelFolder>(kFolder / "tiny-sdxl");
    pipelines::PictureDecoder decoder(folder, {backends::create(""), {}});
    const Tensor picture = decoder.decode_tiled(*expected.find("odd_size"));
    const Tensor theirs = *expected.find("tiled/odd_size");
    ASSERT_EQ(picture.shape(), theirs.shape());
    EXPECT_LT(largest_difference(picture, theirs), 1e-4);
    const Tensor whole = decoder.decode(*expected.find("odd_size"));
    EXPECT_GT(largest_difference(whole, theirs), 1e-3);  // tiling is not the same thing
}

}  // namespace
}  // namespace reprise
