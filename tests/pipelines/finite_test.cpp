// Values that are not finite, stage by stage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "files/safetensors.h"
#include "pipelines/picture_decoder.h"
#include "pipelines/support.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using reprise::testing::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// A copy of the tiny model in which a change was made to one tensor of a component.
fs::path changed(const std::string& component, const std::string& file, const std::string& tensor,
                 const std::function<void(std::span<float>)>& change) {
    const fs::path model = fs::path(REPRISE_FIXTURES) / "pipelines" / "tiny-sdxl";
    const auto folder =
        fs::path(::testing::TempDir()) /
        (std::string("finite-") + ::testing::UnitTest::GetInstance()->current_test_info()->name() + "-" +
         component + "-" + tensor);
    fs::remove_all(folder);
    fs::copy(model, folder, fs::copy_options::recursive);
    const fs::path path = folder / component / file;
    std::vector<std::pair<std::string, Tensor>> tensors;
    {
        const SafetensorsFile weights(model / component / file);
        for (const auto& name : weights.names()) {
            tensors.emplace_back(name, weights.find(name)->to(DType::f32).clone());
            if (name == tensor) change(tensors.back().second.span<float>());
        }
    }
    fs::remove(path);
    write_safetensors(path, tensors);
    return folder;
}

void to_nan(std::span<float> values) {
    values[0] = std::numeric_limits<float>::quiet_NaN();
}

constexpr const char* kDiffusers = "diffusion_pytorch_model.safetensors";

Pipeline open(const fs::path& folder, std::optional<DType> vae_precision = DType::f32) {
    LoadOptions options;
    options.backend = "reference";
    options.precision = DType::f32;
    options.vae_precision = vae_precision;
    return Pipeline::from_pretrained(folder, options);
}

GenerateOptions apple(GuidanceMode mode = GuidanceMode::split) {
    GenerateOptions options;
    options.prompt = "red apple";
    options.negative_prompt = "dog";
    options.num_inference_steps = 2;
    options.width = options.height = 16;
    options.guidance_mode = mode;
    return options;
}

std::string failure_of(const Pipeline& pipe, const GenerateOptions& options) {
    try {
        pipe(options);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::failure);
        return error.what();
    }
    return "";
}

TEST(Finite, ATextEncoderIsNamed) {
    const auto pipe =
        open(changed("text_encoder_2", "model.safetensors", "text_model.final_layer_norm.bias", to_nan));
    EXPECT_THAT(failure_of(pipe, apple()), AllOf(HasSubstr("text_encoder_2"), HasSubstr("NaN")));
}

TEST(Finite, ADenoisersPredictionIsNamedWithStepAndHalf) {
    const auto pipe = open(changed("unet", kDiffusers, "conv_out.bias", to_nan));
    for (const auto mode : {GuidanceMode::split, GuidanceMode::batched})
        EXPECT_THAT(failure_of(pipe, apple(mode)),
                    AllOf(HasSubstr("unconditional prediction"), HasSubstr("step 0 of 2"), HasSubstr("NaN")));
}

TEST(Finite, WhatReuseKeepsIsNamedToo) {
    auto pipe = open(changed("unet", kDiffusers, "mid_block.resnets.0.conv1.bias", to_nan));
    cachify::prepare(pipe, 2, cachify::SDXL_DEFAULT_CONFIG);
    EXPECT_THAT(failure_of(pipe, apple()),
                AllOf(HasSubstr("NaN in what '"), HasSubstr("keeps at step 0"), HasSubstr("prediction")));
}

TEST(Finite, APictureIsNamed) {
    const auto pipe = open(changed("vae", kDiffusers, "decoder.conv_in.bias", to_nan));
    EXPECT_THAT(failure_of(pipe, apple()), AllOf(HasSubstr("decoding with "), HasSubstr("NaN")));
    auto latents_only = apple();
    latents_only.decode = false;
    pipe(latents_only);
}

TEST(Finite, LatentsThatAreGivenAreRefused) {
    const auto pipe = open(fs::path(REPRISE_FIXTURES) / "pipelines" / "tiny-sdxl");
    auto options = apple();
    options.latents = Tensor(DType::f32, {1, 4, 2, 2});
    to_nan(options.latents.span<float>());
    EXPECT_THAT(error_of([&] { pipe(options); }), HasSubstr("not finite"));
}

TEST(Finite, AnOverflowIn16BitsIsDecodedAgainInF32) {
    const auto louder = changed("vae", kDiffusers, "decoder.conv_in.bias", [](std::span<float> values) {
        for (float& value : values) value += 1e6F;  // beyond f16; normalized again behind it
    });
    const auto exact = open(louder, DType::f32)(apple());
    const auto half = open(louder, DType::f16)(apple());
    EXPECT_EQ(half.images.front(), exact.images.front());
}

TEST(Finite, TheAutoencodersDefaultIsTheDevicesPrecision) {
    LoadOptions options;
    options.precision = DType::f32;
    const auto folder = fs::path(REPRISE_FIXTURES) / "pipelines" / "tiny-sdxl";
    const auto by_default = Pipeline::from_pretrained(folder, options);
    options.vae_precision = backends::create("")->preferred_precision("CPU");
    const auto asked = Pipeline::from_pretrained(folder, options);
    EXPECT_EQ(by_default(apple()).images.front(), asked(apple()).images.front());
}

}  // namespace
}  // namespace reprise
