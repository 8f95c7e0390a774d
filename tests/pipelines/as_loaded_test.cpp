// What pipelines' classes set of their parts; tests/parity/loading_live.py holds the same to diffusers.
#include "pipelines/as_loaded.h"

#include "files/model_folder.h"
#include "files/support.h"

namespace reprise::pipelines {
namespace {

using test::TempFolder;
using testing::ElementsAre;

/// A folder of this pipeline's class, with a scheduler of this class and configuration.
void put_model(const TempFolder& folder, const std::string& pipeline, const std::string& scheduler,
               const Json& config) {
    folder.put("model_index.json", Json{{"_class_name", pipeline},
                                        {"scheduler", {"diffusers", scheduler}},
                                        {"unet", {"diffusers", "UNet2DConditionModel"}},
                                        {"vae", {"diffusers", "AutoencoderKL"}}}
                                       .dump());
    folder.put("scheduler/scheduler_config.json", config.dump());
}

std::vector<float> timesteps(const TempFolder& folder, const std::string& name = "") {
    std::vector<float> result;
    const auto sampler = scheduler_as_loaded(ModelFolder(folder.path()), name)->start(4);
    for (const Evaluation& evaluation : sampler->evaluations()) result.push_back(evaluation.timestep);
    return result;
}

TEST(AsLoaded, StableDiffusionSetsTheOffsetOfItsScheduler) {
    const TempFolder folder;
    for (const Json& config : {Json::object(), Json{{"steps_offset", 0}}, Json{{"steps_offset", nullptr}}}) {
        put_model(folder, "StableDiffusionPipeline", "DDIMScheduler", config);
        EXPECT_THAT(timesteps(folder), ElementsAre(751, 501, 251, 1));
    }
    put_model(folder, "StableDiffusionXLPipeline", "DDIMScheduler", Json::object());
    EXPECT_THAT(timesteps(folder), ElementsAre(750, 500, 250, 0));
}

TEST(AsLoaded, AnotherSchedulerSeesTheValuesOfTheFileAlone) {
    const TempFolder folder;
    put_model(folder, "StableDiffusionPipeline", "LMSDiscreteScheduler", {{"steps_offset", 0}});
    EXPECT_THAT(timesteps(folder, "ddim"), ElementsAre(751, 501, 251, 1));
    put_model(folder, "StableDiffusionPipeline", "DDIMScheduler", Json::object());
    EXPECT_THAT(timesteps(folder, "ddim"), ElementsAre(750, 500, 250, 0));
    put_model(folder, "StableDiffusionPipeline", "DDIMScheduler",
              {{"steps_offset", 7}, {"_use_default_values", {"steps_offset"}}});
    EXPECT_THAT(timesteps(folder, "ddim"), ElementsAre(750, 500, 250, 0));
}

TEST(AsLoaded, TheIndexNamesTheSchedulersClass) {
    const TempFolder folder;
    put_model(folder, "StableDiffusionXLPipeline", "DDIMScheduler", {{"_class_name", "PNDMScheduler"}});
    EXPECT_EQ(scheduler_as_loaded(ModelFolder(folder.path()), "")->name(), "DDIMScheduler");
}

TEST(AsLoaded, SmallSizesOfOldUNetsAreMistakes) {
    const TempFolder folder;
    put_model(folder, "StableDiffusionPipeline", "DDIMScheduler", Json::object());
    const auto size = [&](const Json& version, const Json& asked) {
        folder.put("unet/config.json", Json{{"_diffusers_version", version}, {"sample_size", asked}}.dump());
        return as_loaded(std::make_shared<ModelFolder>(folder.path()))->config("unet").json.at("sample_size");
    };
    EXPECT_EQ(size("0.2.2", 32), 64);
    EXPECT_EQ(size("0.8.1", 63), 64);
    EXPECT_EQ(size("0.2.2", 96), 96);
    EXPECT_EQ(size("0.2.2", Json::array({32, 32})), Json::array({32, 32}));
    for (const Json& version : {Json("0.9.0"), Json("0.10.2"), Json("1.0"), Json("dev"), Json()})
        EXPECT_EQ(size(version, 32), 32) << version;
}

TEST(AsLoaded, EachClassReadsItsScalesOfLatents) {
    const TempFolder folder;
    const auto read = [&](const std::string& pipeline, const Json& vae) {
        put_model(folder, pipeline, "DDIMScheduler", Json::object());
        folder.put("vae/config.json", vae.dump());
        std::vector<std::string> keys;
        const Config config = as_loaded(std::make_shared<ModelFolder>(folder.path()))->config("vae");
        for (const auto& [key, value] : config.json.items())
            if (!value.is_null()) keys.push_back(key);
        return keys;
    };
    const Json all = {
        {"latents_mean", {1}}, {"latents_std", {1}}, {"scaling_factor", 1}, {"shift_factor", 1}};
    EXPECT_THAT(read("StableDiffusionPipeline", all), ElementsAre("scaling_factor"));
    EXPECT_THAT(read("StableDiffusionXLPipeline", all),
                ElementsAre("latents_mean", "latents_std", "scaling_factor"));
    EXPECT_THAT(read("StableDiffusion3Pipeline", all), ElementsAre("scaling_factor", "shift_factor"));
    EXPECT_THAT(read("PixArtSigmaPipeline", all), ElementsAre("scaling_factor"));
    EXPECT_THAT(read("StableDiffusionXLPipeline", {{"latents_mean", {1}}}), ElementsAre());
}

}  // namespace
}  // namespace reprise::pipelines
