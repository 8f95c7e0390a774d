// Whole runs against diffusers, with and without reuse: tests/parity/pipelines.py wrote what is expected.
#include <gtest/gtest.h>

#include <cmath>

#include "io/json.h"
#include "io/metrics.h"
#include "io/safetensors.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(REPRISE_FIXTURES) / "pipelines";

double largest_difference(const Tensor& a, const Tensor& b) {
    double difference = 0;
    double size = 0;
    for (std::size_t i = 0; i < a.span<float>().size(); ++i) {
        difference = std::max(difference, std::fabs(double{a.span<float>()[i]} - b.span<float>()[i]));
        size = std::max(size, std::fabs(double{b.span<float>()[i]}));
    }
    return difference / size;
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
        } else if (key == "negative_prompt_2") {
            options.negative_prompt_2 = value.get<std::string>();
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
        } else if (key != "name" && key != "model" && key != "cache") {
            ADD_FAILURE() << "the fixture has an option that the test does not know: " << key;
        }
    }
    options.decode = false;
    return options;
}

struct Param {
    std::string name;
    GuidanceMode mode;
};

class Parity : public ::testing::TestWithParam<Param> {};

TEST_P(Parity, FinalLatentsAreDiffusers) {
    const Json runs = load_json(kFolder / "runs.json");
    const SafetensorsFile expected(kFolder / "runs.safetensors");
    for (const Json& run : runs) {
        if (run["name"] != GetParam().name) continue;
        LoadOptions load;
        load.precision = DType::f32;
        auto pipe = Pipeline::from_pretrained(kFolder / run["model"].get<std::string>(), load);
        auto options = options_of(run);
        options.guidance_mode = GetParam().mode;
        if (run.contains("cache"))
            cachify::prepare(pipe, *options.num_inference_steps,
                             cachify::parse_config(run["cache"].dump(), run["name"].get<std::string>()));
        const auto output = pipe(options);
        const auto latents = expected.find(GetParam().name);
        ASSERT_TRUE(latents);
        ASSERT_EQ(output.latents.shape(), latents->shape());
        const double difference = largest_difference(output.latents, *latents);
        RecordProperty("difference", std::to_string(difference));
        EXPECT_LT(difference, 1e-3);
        return;
    }
    FAIL() << "no such run";
}

std::vector<Param> all_runs() {
    std::vector<Param> params;
    for (const Json& run : load_json(kFolder / "runs.json")) {
        const auto name = run["name"].get<std::string>();
        params.push_back({name, GuidanceMode::batched});
        if (run["guidance_scale"].get<double>() > 1) params.push_back({name, GuidanceMode::split});
    }
    return params;
}

INSTANTIATE_TEST_SUITE_P(Runs, Parity, ::testing::ValuesIn(all_runs()), [](const auto& test) {
    return test.param.name + (test.param.mode == GuidanceMode::split ? "_split" : "_batched");
});

class Pictures : public ::testing::TestWithParam<std::string> {};

TEST_P(Pictures, AreDiffusers) {
    const SafetensorsFile expected(kFolder / "runs.safetensors");
    for (const Json& run : load_json(kFolder / "runs.json")) {
        if (run["name"] != GetParam()) continue;
        LoadOptions load;
        load.precision = DType::f32;
        auto pipe = Pipeline::from_pretrained(kFolder / run["model"].get<std::string>(), load);
        auto options = options_of(run);
        options.decode = true;
        if (run.contains("cache"))
            cachify::prepare(pipe, *options.num_inference_steps,
                             cachify::parse_config(run["cache"].dump(), "fixture"));
        const Image image = pipe(options).images.at(0);
        const Tensor pixels = *expected.find("image/" + GetParam());
        const Image theirs(static_cast<int>(pixels.dim(1)), static_cast<int>(pixels.dim(0)),
                           {pixels.span<std::uint8_t>().begin(), pixels.span<std::uint8_t>().end()});
        EXPECT_GT(psnr(image, theirs), 40);
    }
}

INSTANTIATE_TEST_SUITE_P(Runs, Pictures, ::testing::Values("full", "sd_full", "odd_size"));

TEST(PictureDecoder, TilesAsDiffusersDoes) {
    const SafetensorsFile expected(kFolder / "runs.safetensors");
    const ModelFolder folder(kFolder / "tiny-sdxl");
    pipelines::PictureDecoder decoder(folder, {backends::create(""), {}}, "");
    const Tensor picture = decoder.decode_tiled(*expected.find("odd_size"));
    const Tensor theirs = *expected.find("tiled/odd_size");
    ASSERT_EQ(picture.shape(), theirs.shape());
    EXPECT_LT(largest_difference(picture, theirs), 1e-4);
    const Tensor whole = decoder.decode(*expected.find("odd_size"));
    EXPECT_GT(largest_difference(whole, theirs), 1e-3);  // tiling is not the same thing
}

}  // namespace
}  // namespace reprise
