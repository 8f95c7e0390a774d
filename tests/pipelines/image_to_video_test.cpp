// Whole videos against diffusers, with and without reuse: tests/parity/svd_pipelines.py wrote what is
// expected.
#include "pipelines/image_to_video.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "files/json.h"
#include "files/model_folder.h"
#include "files/safetensors.h"
#include "media/metrics.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

using testing::largest_difference;

using ::testing::HasSubstr;

const std::filesystem::path kFixtures = REPRISE_FIXTURES;
const std::filesystem::path kFolder = kFixtures / "pipelines";

Json runs() {
    return load_json(kFolder / "svd_videos.json");
}

Json run_of(const std::string& name) {
    for (const Json& run : runs())
        if (run["name"] == name) return run;
    throw std::runtime_error("no such run: " + name);
}

GenerateOptions options_of(const Json& run) {
    GenerateOptions options;
    options.decode = false;
    for (const auto& [key, value] : run.items()) {
        if (key == "image") {
            options.image = Image::load(kFixtures / "io" / value.get<std::string>());
        } else if (key == "num_inference_steps") {
            options.num_inference_steps = value.get<int>();
        } else if (key == "seed") {
            options.seed = value.get<std::uint64_t>();
        } else if (key == "width") {
            options.width = value.get<int>();
        } else if (key == "height") {
            options.height = value.get<int>();
        } else if (key == "num_frames") {
            options.video.num_frames = value.get<int>();
        } else if (key == "fps") {
            options.video.fps = value.get<int>();
        } else if (key == "motion_bucket_id") {
            options.video.motion_bucket_id = value.get<int>();
        } else if (key == "noise_aug_strength") {
            options.video.noise_aug_strength = value.get<double>();
        } else if (key == "min_guidance_scale") {
            options.video.min_guidance_scale = value.get<double>();
        } else if (key == "max_guidance_scale") {
            options.video.max_guidance_scale = value.get<double>();
        } else if (key == "decode_chunk_size") {
            options.video.decode_chunk_size = value.get<int>();
        } else if (key == "num_videos_per_prompt") {
            options.num_images_per_prompt = value.get<int>();
        } else if (key == "latents") {
            options.latents = Generator(value.get<std::uint64_t>()).randn({1, 3, 4, 16, 16});
        } else if (key != "name" && key != "cache") {
            ADD_FAILURE() << "the fixture has an option that the test does not know: " << key;
        }
    }
    return options;
}

Pipeline& tiny_svd() {
    return testing::shared_fixture("tiny-svd");
}

void prepare(Pipeline& pipe, const Json& run) {
    if (run.contains("cache"))
        cachify::prepare(pipe, run["num_inference_steps"].get<int>(),
                         cachify::parse_config(run["cache"].dump(), run["name"].get<std::string>()));
}

struct Param {
    std::string name;
    GuidanceMode mode;
};

class VideoParity : public ::testing::TestWithParam<Param> {};

// The final latents, and the frames where the fixture has them.
TEST_P(VideoParity, ResultsAreDiffusers) {
    const Json run = run_of(GetParam().name);
    const SafetensorsFile expected(kFolder / "svd_videos.safetensors");
    const Tensor latents = *expected.find(GetParam().name);
    const auto frames = expected.find("frames/" + GetParam().name);
    auto& pipe = tiny_svd();
    prepare(pipe, run);
    auto options = options_of(run);
    options.guidance_mode = GetParam().mode;
    options.decode = frames.has_value();
    const auto output = pipe(options);
    ASSERT_EQ(output.latents.shape(), latents.shape());
    const double difference = largest_difference(output.latents, latents);
    RecordProperty("difference", std::to_string(difference));
    EXPECT_LT(difference, 1e-3);
    if (!frames) {
        EXPECT_TRUE(output.images.empty());
        return;
    }
    ASSERT_EQ(static_cast<std::int64_t>(output.images.size()), frames->dim(0));
    for (std::size_t i = 0; i < output.images.size(); ++i) {
        const auto row = static_cast<std::int64_t>(i);
        const Tensor pixels = frames->rows(row, row + 1);
        const auto values = pixels.span<std::uint8_t>();
        EXPECT_GT(
            psnr(output.images[i], Image(static_cast<int>(frames->dim(2)), static_cast<int>(frames->dim(1)),
                                         {values.begin(), values.end()})),
            40)
            << "frame " << i;
    }
}

std::vector<Param> all_runs() {
    std::vector<Param> params;
    for (const Json& run : runs()) {
        params.push_back({run["name"], GuidanceMode::batched});
        if (run["name"] == "default" || run["name"] == "settings")
            params.push_back({run["name"], GuidanceMode::split});
    }
    return params;
}

INSTANTIATE_TEST_SUITE_P(Runs, VideoParity, ::testing::ValuesIn(all_runs()), [](const auto& test) {
    return test.param.name + (test.param.mode == GuidanceMode::split ? "_split" : "_batched");
});

TEST(ImageToVideo, TheDefaultConfigurationIsTheIssues) {
    auto& pipe = tiny_svd();
    const Json run = run_of("default");
    cachify::prepare(pipe, 6, cachify::make_policy(pipe, "modelopt"));
    auto options = options_of(run);
    options.guidance_mode = GuidanceMode::batched;
    const auto output = pipe(options);
    const SafetensorsFile expected(kFolder / "svd_videos.safetensors");
    EXPECT_LT(largest_difference(output.latents, *expected.find("default")), 1e-3);
    ASSERT_EQ(output.report.steps.size(), 6U);
    for (const auto& step : output.report.steps) EXPECT_EQ(step.reused, step.step % 2 != 0);
    EXPECT_LT(output.report.steps[1].flops_share, 0.65);
    EXPECT_TRUE(output.report.complaints.empty());
}

TEST(ImageToVideo, FitChangesWhatTheAutoencoderSeesOnly) {
    auto& pipe = tiny_svd();
    auto options = options_of(run_of("full"));
    options.guidance_mode = GuidanceMode::batched;
    options.num_inference_steps = 2;
    const Tensor stretched = pipe(options).latents;
    for (const Fit fit : {Fit::crop, Fit::letterbox}) {
        options.video.fit = fit;
        EXPECT_GT(largest_difference(pipe(options).latents, stretched), 1e-2);
    }
}

TEST(ImageToVideo, RefusesWhatItCannotHonour) {
    auto& pipe = tiny_svd();
    const auto message = [&](const auto& change) -> std::string {
        auto options = options_of(run_of("full"));
        change(options);
        try {
            pipe(options);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            return error.what();
        }
        ADD_FAILURE() << "no error";
        return {};
    };
    using Options = GenerateOptions;
    EXPECT_THAT(message([](Options& o) { o.image = {}; }), HasSubstr("picture"));
    EXPECT_THAT(message([](Options& o) { o.prompt = "red apple"; }), HasSubstr("prompt"));
    EXPECT_THAT(message([](Options& o) { o.negative_prompt = ""; }), HasSubstr("negative_prompt"));
    EXPECT_THAT(message([](Options& o) { o.guidance_scale = 7; }), HasSubstr("max_guidance_scale"));
    EXPECT_THAT(message([](Options& o) { o.guidance_rescale = 0.5; }), HasSubstr("guidance_rescale"));
    EXPECT_THAT(message([](Options& o) { o.clip_skip = 1; }), HasSubstr("clip_skip"));
    EXPECT_THAT(message([](Options& o) { o.video.num_frames = -1; }), HasSubstr("num_frames is -1"));
    EXPECT_THAT(message([](Options& o) { o.video.num_frames = 1 << 20; }), HasSubstr("frames"));
    EXPECT_THAT(message([](Options& o) { o.video.fps = 0; }), HasSubstr("fps is 0"));
    EXPECT_THAT(message([](Options& o) { o.video.motion_bucket_id = -1; }), HasSubstr("motion_bucket_id"));
    EXPECT_THAT(message([](Options& o) { o.video.noise_aug_strength = -1; }),
                HasSubstr("noise_aug_strength is -1"));
    for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL, 1e300}) {
        EXPECT_THAT(message([&](Options& o) { o.video.noise_aug_strength = value; }),
                    HasSubstr("noise_aug_strength is "));
        EXPECT_THAT(message([&](Options& o) { o.video.min_guidance_scale = value; }),
                    HasSubstr("min_guidance_scale is "));
        EXPECT_THAT(message([&](Options& o) { o.video.max_guidance_scale = value; }),
                    HasSubstr("max_guidance_scale is "));
    }
    EXPECT_THAT(message([](Options& o) { o.video.decode_chunk_size = -2; }), HasSubstr("decode_chunk_size"));
    EXPECT_THAT(message([](Options& o) { o.width = 36; }), HasSubstr("width is 36"));
    EXPECT_THAT(message([](Options& o) {
                    o.latents = Tensor(DType::f32, {1, 4, 16, 16});
                }),
                HasSubstr("(1, 3, 4, 16, 16)"));
}

TEST(VideoDecoder, TakesAsManyFramesAsMemoryAllows) {
    const auto folder = std::make_shared<ModelFolder>(kFolder / "tiny-svd");
    const pipelines::VideoDecoder decoder(folder, {backends::create(""), {}});
    const Shape latents = {9, 4, 16, 16};
    EXPECT_EQ(decoder.largest_chunk(latents, std::nullopt), 9);
    EXPECT_EQ(decoder.largest_chunk(latents, 1e12), 9);
    EXPECT_EQ(decoder.largest_chunk(latents, 1), 1);
    const auto half = decoder.largest_chunk(latents, 3e6);
    EXPECT_GT(half, 1);
    EXPECT_LT(half, 9);
}

}  // namespace
}  // namespace reprise
