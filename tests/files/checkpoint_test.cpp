#include "files/checkpoint.h"

#include <chrono>

#include "files/support.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;
using testing::ElementsAre;
using testing::HasSubstr;

/// Writes one tensor `name` holding `value`.
void put_tensor(const fs::path& path, const std::string& name, float value) {
    fs::create_directories(path.parent_path());
    write_safetensors(path, {{name, Tensor::from({1}, std::vector<float>{value})}});
}

float value_of(const Checkpoint& checkpoint, std::string_view name) {
    return checkpoint.find(name).value().span<float>()[0];
}

TEST(Checkpoint, PrefersFullPrecisionUnlessAskedOtherwise) {
    const TempFolder folder;
    put_tensor(folder / "model.fp16.safetensors", "w", 16);
    EXPECT_EQ(value_of(Checkpoint(folder.path()), "w"), 16);
    put_tensor(folder / "model.safetensors", "w", 32);
    const Checkpoint checkpoint(folder.path());
    EXPECT_EQ(value_of(checkpoint, "w"), 32);
    EXPECT_FALSE(checkpoint.find("none"));
    EXPECT_EQ(checkpoint.entry("none"), nullptr);
    EXPECT_EQ(checkpoint.entry("w")->dtype, "F32");
    EXPECT_EQ(checkpoint.total_bytes(), 4U);
    EXPECT_EQ(checkpoint.description(), folder.path().string());
    checkpoint.release_pages();
    EXPECT_EQ(value_of(Checkpoint(folder.path(), {.variant = "fp16"}), "w"), 16);
    EXPECT_EQ(value_of(Checkpoint(folder.path(), {.variant = "bf16"}), "w"), 32);
    EXPECT_TRUE(has_variant(folder.path(), "fp16"));
    EXPECT_FALSE(has_variant(folder.path(), "bf16"));
    folder.put("model.bf16.bin", "x");
    EXPECT_THAT(
        error_of([&] { Checkpoint(folder.path(), {.variant = "bf16"}); }),
        HasSubstr("no weights of variant \"bf16\"; there are model.fp16.safetensors, model.safetensors"));
    put_tensor(folder / "diffusion_pytorch_model.safetensors", "w", 1);
    EXPECT_EQ(value_of(Checkpoint(folder.path()), "w"), 1);
    EXPECT_EQ(value_of(Checkpoint(folder.path(), {"", Library::transformers}), "w"), 32);
}

TEST(Checkpoint, TakesShardsOrFileAsTheLibraryDoes) {
    for (const std::string infix : {"", ".fp16"}) {
        const TempFolder folder;
        const auto put_both = [&](const std::string& base) {
            put_tensor(folder / (base + infix + ".safetensors"), "w", 1);
            put_tensor(folder / (base + "-1.safetensors"), "w", 2);
            folder.put(base + ".safetensors.index" + infix + ".json",
                       R"({"weight_map": {"w": ")" + base + R"(-1.safetensors"}})");
        };
        put_both("diffusion_pytorch_model");
        put_both("model");
        const std::string variant = infix.empty() ? "" : "fp16";
        EXPECT_EQ(value_of(Checkpoint(folder.path(), {variant}), "w"), 2);
        EXPECT_EQ(value_of(Checkpoint(folder.path(), {variant, Library::transformers}), "w"), 1);
    }
}

TEST(Checkpoint, OfATensorInTwoShardsTheLastCounts) {
    const TempFolder folder;
    put_tensor(folder / "m-1.safetensors", "a", 1);
    write_safetensors(folder / "m-2.safetensors", {{"a", Tensor::from({1}, std::vector<float>{2})},
                                                   {"unlisted", Tensor::from({1}, std::vector<float>{3})}});
    folder.put("model.safetensors.index.json",
               R"({"weight_map": {"a": "m-1.safetensors", "unlisted": "m-2.safetensors"}})");
    const Checkpoint checkpoint(folder.path());
    EXPECT_EQ(value_of(checkpoint, "a"), 2);
    EXPECT_EQ(checkpoint.total_bytes(), 8U);
}

TEST(Checkpoint, ReadsShardsUnderEveryNameOfTheIndex) {
    for (const std::string index :
         {"diffusion_pytorch_model.safetensors.index.json", "model.safetensors.index.json",
          "diffusion_pytorch_model.safetensors.index.fp16.json", "model.safetensors.index.fp16.json",
          "diffusion_pytorch_model.fp16.safetensors.index.json"}) {
        const TempFolder folder;
        put_tensor(folder / "m-00001-of-00002.safetensors", "a", 1);
        put_tensor(folder / "m-00002-of-00002.safetensors", "b", 2);
        folder.put(index, R"({"metadata": {"total_size": 8}, "weight_map":
            {"b": "m-00002-of-00002.safetensors", "a": "m-00001-of-00002.safetensors"}})");
        const Checkpoint checkpoint(folder.path());
        EXPECT_THAT(checkpoint.names(), ElementsAre("a", "b"));
        EXPECT_EQ(value_of(checkpoint, "a"), 1);
        EXPECT_EQ(value_of(checkpoint, "b"), 2);
        EXPECT_EQ(checkpoint.total_bytes(), 8U);
        EXPECT_EQ(checkpoint.files().size(), 2U);
    }
}

TEST(Checkpoint, FollowsTheLinksOfACacheSnapshot) {
    const TempFolder folder;
    put_tensor(folder / "blobs/0123", "a", 5);
    const fs::path unet = folder / "snapshots/abcd/unet";
    fs::create_directories(unet);
    fs::create_symlink("../../../blobs/0123", unet / "model-1.safetensors");
    folder.put("blobs/4567", R"({"weight_map": {"a": "model-1.safetensors"}})");
    fs::create_symlink("../../../blobs/4567", unet / "model.safetensors.index.json");
    const Checkpoint checkpoint(unet);
    EXPECT_EQ(value_of(checkpoint, "a"), 5);
    EXPECT_THAT(checkpoint.files_identity(), HasSubstr(fs::canonical(folder / "blobs/0123").string() + ":"));
}

TEST(Checkpoint, IdentityChangesWithTheFiles) {
    const TempFolder folder;
    put_tensor(folder / "model.safetensors", "w", 1);
    const std::string before = Checkpoint(folder.path()).files_identity();
    EXPECT_EQ(Checkpoint(folder.path()).files_identity(), before);
    fs::last_write_time(folder / "model.safetensors",
                        fs::file_time_type::clock::now() + std::chrono::seconds(5));
    EXPECT_NE(Checkpoint(folder.path()).files_identity(), before);
}

TEST(Checkpoint, SaysWhatIsWrongWithAFolder) {
    const TempFolder folder;
    EXPECT_THAT(error_of([&] { Checkpoint{folder / "none"}; }), HasSubstr("none: no such folder"));
    EXPECT_THAT(error_of([&] { Checkpoint{folder.path()}; }),
                HasSubstr("no weights; expected one of diffusion_pytorch_model.safetensors"));
    folder.put("diffusion_pytorch_model.bin", "x");
    EXPECT_THAT(error_of([&] { Checkpoint{folder.path()}; }),
                HasSubstr("only pickled weights (diffusion_pytorch_model.bin)"));
    folder.put("model.non_ema.safetensors", "x");
    EXPECT_THAT(error_of([&] { Checkpoint{folder.path()}; }),
                HasSubstr("there are model.non_ema.safetensors"));
    folder.put("model.safetensors", "x");
    EXPECT_THAT(error_of([&] { Checkpoint{folder.path()}; }),
                HasSubstr("model.safetensors: 1 bytes, too short"));
}

TEST(Checkpoint, SaysWhatIsWrongWithAnIndex) {
    const TempFolder folder;
    put_tensor(folder / "model-1.safetensors", "a", 1);
    put_tensor(folder / "../reprise-outside.safetensors", "a", 1);
    const auto with = [&](const std::string& index) {
        folder.put("model.safetensors.index.json", index);
        return error_of([&] { Checkpoint{folder.path()}; });
    };
    EXPECT_THAT(with("{"), HasSubstr("model.safetensors.index.json: broken JSON"));
    EXPECT_THAT(with("{}"), HasSubstr("\"weight_map\" is missing"));
    EXPECT_THAT(with(R"({"weight_map": []})"), HasSubstr("is not an object"));
    EXPECT_THAT(with(R"({"weight_map": {}})"), HasSubstr("is not an object"));
    EXPECT_THAT(with(R"({"weight_map": {"a": 1}})"), HasSubstr("\"a\" is 1, expected a string"));
    EXPECT_THAT(with(R"({"weight_map": {"a": "model-2.safetensors"}})"),
                HasSubstr("model-2.safetensors is missing"));
    EXPECT_THAT(with(R"({"weight_map": {"b": "model-1.safetensors"}})"),
                HasSubstr("\"b\" is not in model-1"));
    for (const auto* shard :
         {"../reprise-outside.safetensors", "/etc/passwd", "..", "", "a\\\\b.safetensors", "model-1.bin"})
        EXPECT_THAT(with(fmt::format(R"({{"weight_map": {{"a": "{}"}}}})", shard)),
                    HasSubstr("is not the plain name of a .safetensors file"));
    fs::remove(folder / "../reprise-outside.safetensors");
}

}  // namespace
}  // namespace reprise
