#include "files/model_folder.h"

#include "files/support.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;
using testing::HasSubstr;

constexpr const char* kIndex = R"({
  "_class_name": "StableDiffusionXLPipeline", "_diffusers_version": "0.42.1", "_name_or_path": "x",
  "force_zeros_for_empty_prompt": true, "feature_extractor": [null, null], "image_encoder": [null, null],
  "scheduler": ["diffusers", "EulerDiscreteScheduler"], "tokenizer": ["transformers", "CLIPTokenizer"],
  "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"], "sizes": [1, 2]})";

void put_model(const TempFolder& folder, const std::string& below = "") {
    folder.put(below + "model_index.json", kIndex);
    folder.put(below + "unet/config.json", R"({"in_channels": 4})");
    folder.put(below + "scheduler/scheduler_config.json", R"({"beta_start": 0.1})");
    folder.put(below + "scheduler/config.json", R"({})");
    folder.put(below + "tokenizer/tokenizer_config.json", R"({"model_max_length": 77})");
}

TEST(ModelFolder, ListsComponentsAndTheirConfigurations) {
    const TempFolder folder;
    put_model(folder);
    const ModelFolder model(folder.path());
    EXPECT_EQ(model.class_name(), "StableDiffusionXLPipeline");
    EXPECT_TRUE(model.index().require<bool>("force_zeros_for_empty_prompt"));
    EXPECT_EQ(model.components().size(), 6U);
    EXPECT_EQ(model.components().find("image_encoder")->second, std::nullopt);
    EXPECT_EQ(model.component("unet").library, "diffusers");
    EXPECT_EQ(model.component("unet").class_name, "UNet2DConditionModel");
    EXPECT_TRUE(model.has("unet"));
    EXPECT_FALSE(model.has("vae"));
    EXPECT_FALSE(model.has("image_encoder"));
    EXPECT_FALSE(model.has("nothing"));
    EXPECT_EQ(model.path("unet"), folder / "unet");
    EXPECT_EQ(model.config("unet").require<int>("in_channels"), 4);
    EXPECT_EQ(model.config("scheduler").require<double>("beta_start"), 0.1);
    EXPECT_EQ(model.config("tokenizer").require<int>("model_max_length"), 77);

    EXPECT_THAT(error_of([&] { model.path("vae"); }), HasSubstr("vae: the folder of component \"vae\""));
    EXPECT_THAT(error_of([&] { model.path("nothing"); }), HasSubstr("names no component \"nothing\""));
    EXPECT_THAT(error_of([&] { model.component("image_encoder"); }), HasSubstr("is null"));
    fs::remove(folder / "unet/config.json");
    EXPECT_THAT(error_of([&] { model.config("unet"); }), HasSubstr("unet/config.json: no such file"));
}

TEST(ModelFolder, FindsComponentsAsDiffusersDoes) {
    const TempFolder folder;
    put_model(folder, "");
    folder.put("model_index.json", R"({"_class_name": "P", "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DDIMScheduler"], "safety_checker": [null, "X"]})");
    fs::remove_all(folder / "vae");
    folder.put("config.json", R"({"scaling_factor": 2})");
    const ModelFolder model(folder.path());
    EXPECT_FALSE(model.names("safety_checker"));
    EXPECT_TRUE(model.has("vae"));
    EXPECT_EQ(model.path("vae"), folder.path());
    EXPECT_EQ(model.config("vae").require<int>("scaling_factor"), 2);
}

TEST(OverlaidModel, HasOtherValuesInConfigurations) {
    const TempFolder folder;
    put_model(folder);
    folder.put("vae/config.json", R"({"scaling_factor": 2, "latent_channels": 4})");
    const OverlaidModel model(std::make_shared<ModelFolder>(folder.path()),
                              {{"vae", {{"scaling_factor", nullptr}, {"shift_factor", 3}}}});
    EXPECT_FALSE(model.config("vae").has("scaling_factor"));
    EXPECT_EQ(model.config("vae").require<int>("shift_factor"), 3);
    EXPECT_EQ(model.config("vae").require<int>("latent_channels"), 4);
    EXPECT_FALSE(model.config("scheduler").has("shift_factor"));
    EXPECT_EQ(model.class_name(), "StableDiffusionXLPipeline");
    EXPECT_EQ(model.description(), folder.path().string());
}

TEST(ModelFolder, OpensSymlinkedSnapshots) {
    const TempFolder folder;
    put_model(folder, "blobs/");
    const fs::path snapshot = folder / "models--a--b/snapshots/0123";
    fs::create_directories(snapshot / "unet");
    fs::create_symlink("../../../blobs/model_index.json", snapshot / "model_index.json");
    fs::create_symlink("../../../../blobs/unet/config.json", snapshot / "unet/config.json");
    EXPECT_EQ(ModelFolder(snapshot).config("unet").require<int>("in_channels"), 4);
    const std::string meant = "did you mean " + snapshot.string() + "?";
    EXPECT_THAT(error_of([&] { ModelFolder{folder / "models--a--b"}; }), HasSubstr(meant));
    EXPECT_THAT(error_of([&] { ModelFolder{folder / "models--a--b/snapshots"}; }), HasSubstr(meant));
}

TEST(ModelFolder, SaysWhatIsWrongWithAFolder) {
    const TempFolder folder;
    EXPECT_THAT(error_of([&] { ModelFolder{folder / "none"}; }), HasSubstr("none: no such folder"));
    EXPECT_THAT(error_of([&] { ModelFolder{""}; }), HasSubstr("no model folder given"));
    EXPECT_THAT(error_of([&] { ModelFolder{folder.path()}; }), HasSubstr("has no model_index.json, so"));
    put_model(folder, "m/");
    EXPECT_THAT(error_of([&] { ModelFolder{folder / "m/unet"}; }),
                HasSubstr("one component of a model; give " + (folder / "m").string()));
    EXPECT_THAT(error_of([&] { ModelFolder{folder / "m/model_index.json"}; }),
                HasSubstr("is a file; give its folder: " + (folder / "m").string()));
    folder.put("m/model_index.json", "{\"_class_name\": ");
    EXPECT_THAT(error_of([&] { ModelFolder{folder / "m"}; }),
                HasSubstr("model_index.json: broken JSON at line 1"));
    folder.put("m/model_index.json", "{}");
    EXPECT_THAT(error_of([&] { ModelFolder{folder / "m"}; }), HasSubstr("\"_class_name\" is missing"));
    folder.put("m/model_index.json", R"({"_class_name": "X", "../../etc": ["diffusers", "Y"]})");
    EXPECT_THAT(error_of([&] { ModelFolder{folder / "m"}; }), HasSubstr("not the plain name of a folder"));
}

}  // namespace
}  // namespace reprise
