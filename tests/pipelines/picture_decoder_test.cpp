#include "pipelines/picture_decoder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/generator.h"
#include "files/model_folder.h"
#include "media/metrics.h"

namespace reprise::pipelines {
namespace {

const std::filesystem::path kModel = std::filesystem::path(REPRISE_FIXTURES) / "pipelines" / "tiny-sdxl";

PictureDecoder open(const std::filesystem::path& folder) {
    return {std::make_shared<ModelFolder>(folder), {backends::create("reference"), {}}};
}

/// The tiny model with other values in its autoencoder's configuration.
std::filesystem::path with_config(const std::string& name, const Json& changes) {
    const auto folder = std::filesystem::path(::testing::TempDir()) / name;
    std::filesystem::remove_all(folder);
    std::filesystem::copy(kModel, folder, std::filesystem::copy_options::recursive);
    Json config = load_json(kModel / "vae" / "config.json");
    config.update(changes);
    std::ofstream(folder / "vae" / "config.json") << config.dump();
    return folder;
}

TEST(PictureDecoder, HonoursMeanAndDeviationOfEachChannel) {
    Generator generator(1);
    const Tensor latents = generator.randn({1, 4, 4, 4});
    auto plain = open(with_config("plain", {{"scaling_factor", 1.0}}));
    auto scaled = open(with_config("scaled", {{"scaling_factor", 0.5},
                                              {"latents_mean", {0.1, 0.2, 0.3, 0.4}},
                                              {"latents_std", {1.0, 2.0, 0.5, 1.5}}}));
    // diffusers: latents * std / scaling_factor + mean
    const float mean[] = {0.1F, 0.2F, 0.3F, 0.4F};
    const float deviation[] = {1.0F, 2.0F, 0.5F, 1.5F};
    Tensor by_hand = latents.clone();
    for (std::size_t i = 0; i < 64; ++i) {
        float& value = by_hand.span<float>()[i];
        value = value * deviation[i / 16] / 0.5F + mean[i / 16];
    }
    EXPECT_LT(relative_error(scaled.decode(latents), plain.decode(by_hand)), 1e-5);
}

TEST(PictureDecoder, HonoursTheShift) {
    Generator generator(1);
    const Tensor latents = generator.randn({1, 4, 4, 4});
    auto plain = open(with_config("plain", {{"scaling_factor", 1.0}}));
    auto shifted = open(with_config("shifted", {{"scaling_factor", 2.0}, {"shift_factor", 0.25}}));
    Tensor by_hand = latents.clone();
    for (float& value : by_hand.span<float>()) value = value / 2 + 0.25F;
    EXPECT_LT(relative_error(shifted.decode(latents), plain.decode(by_hand)), 1e-5);
}

}  // namespace
}  // namespace reprise::pipelines
