// Where models come from: folders, memory, sources that alter another one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cachify/support.h"
#include "core/generator.h"
#include "core/map_weights.h"
#include "files/altered_weights.h"
#include "files/model_folder.h"
#include "files/safetensors.h"
#include "files/support.h"
#include "files/weight_cache.h"
#include "models/weight_names.h"
#include "pipelines/registry.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;
using testing::same_bits;

const std::filesystem::path kModel = std::filesystem::path(REPRISE_FIXTURES) / "pipelines" / "tiny-sdxl";

/// A model all of whose parts are in memory.
class MemoryModel final : public ModelSource {
  public:
    explicit MemoryModel(const ModelSource& other) : ModelSource(other.index()) {
        for (const auto& [name, component] : components()) {
            if (!component) continue;
            configs_.emplace(name, other.config(name));
            if (is_model(name)) {
                const auto source = other.weights(name);
                MapWeights::Map map;
                for (const auto& weight : source->names()) map.emplace(weight, source->find(weight)->clone());
                weights_.emplace(name, std::make_shared<MapWeights>(std::move(map), "memory"));
            }
            if (!name.starts_with("tokenizer")) continue;
            const FileSet files = other.tokenizer(name);
            FileSet::Texts texts;
            for (const char* file :
                 {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"})
                if (files.has(file)) texts.emplace(file, files.text(file));
            tokenizers_.emplace(name, FileSet("memory", std::move(texts)));
        }
    }
    bool has(std::string_view name) const override { return names(name); }
    Config config(std::string_view name) const override { return configs_.find(name)->second; }
    std::shared_ptr<const WeightSource> weights(std::string_view name) const override {
        return weights_.find(name)->second;
    }
    FileSet tokenizer(std::string_view name) const override { return tokenizers_.find(name)->second; }
    std::string where(std::string_view name) const override { return "memory: " + std::string(name); }
    std::string description() const override { return "memory"; }

  private:
    std::map<std::string, Config, std::less<>> configs_;
    std::map<std::string, std::shared_ptr<const WeightSource>, std::less<>> weights_;
    std::map<std::string, FileSet, std::less<>> tokenizers_;
};

std::shared_ptr<const ModelSource> folder(const std::filesystem::path& path = kModel) {
    return std::make_shared<ModelFolder>(path, ModelFolderOptions{"", models::name_rule});
}

GenerateOutput drawn(std::shared_ptr<const ModelSource> source, DType precision = DType::f32) {
    LoadOptions load;
    load.backend = "reference";
    load.precision = precision;
    load.vae_precision = precision;
    GenerateOptions options;
    options.prompt = "red apple";
    options.num_inference_steps = 2;
    options.width = options.height = 16;
    options.guidance_mode = GuidanceMode::split;
    return (*pipelines::open_pipeline(std::move(source), load))(options);
}

void expect_same(const GenerateOutput& a, const GenerateOutput& b) {
    EXPECT_TRUE(same_bits(a.latents, b.latents));
    EXPECT_EQ(a.images, b.images);
}

/// A weight as its file has it, changed.
Tensor changed(const Tensor& stored) {
    Tensor wide = stored.to(DType::f32).clone();
    for (float& value : wide.span<float>()) value = 0.5F - 1.5F * value;
    return wide.to(stored.type());
}

/// A copy of the tiny model with other values of some tensors of one file.
std::shared_ptr<const ModelSource> folder_with(const test::TempFolder& temp, const std::string& file,
                                               const std::map<std::string, Tensor>& others) {
    std::filesystem::copy(kModel, temp.path(), std::filesystem::copy_options::recursive);
    const SafetensorsFile whole(kModel / file);
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const auto& name : whole.names())
        tensors.emplace_back(name, others.contains(name) ? others.at(name) : *whole.find(name));
    write_safetensors(temp / file, tensors);
    return folder(temp.path());
}

std::shared_ptr<const ModelSource> decorated(const std::string& component, Alterations alterations) {
    return std::make_shared<AlteredModel>(folder(),
                                          AlteredModel::ByComponent{{component, std::move(alterations)}});
}

Alteration changing() {
    return {"changed", [](const Weight& stored) { return changed(std::get<Tensor>(stored.values)); }};
}

TEST(Sources, AModelInMemoryDrawsTheSame) {
    const auto memory = std::make_shared<MemoryModel>(*folder());
    expect_same(drawn(memory), drawn(folder()));
    expect_same(drawn(memory, DType::bf16), drawn(folder(), DType::bf16));
    EXPECT_EQ(memory->identity(), MemoryModel(*folder()).identity());
    EXPECT_THAT(test::error_of([&] {
                    LoadOptions load;
                    load.backend = "none";
                    pipelines::open_pipeline(memory, load);
                }),
                HasSubstr("none"));
}

struct Case {
    std::string component, file, weight, stored;
};

class Decorator : public ::testing::TestWithParam<Case> {};

// A weight that is altered by a source is as one that is altered in its file, in each precision.
TEST_P(Decorator, AltersOneWeight) {
    const auto& [component, file, weight, stored] = GetParam();
    const auto source = decorated(component, {{weight, changing()}});
    const test::TempFolder temp;
    const auto other =
        folder_with(temp, file, {{stored, changed(*SafetensorsFile(kModel / file).find(stored))}});
    for (const DType precision : {DType::f32, DType::bf16}) {
        const auto before = drawn(folder(), precision);
        const auto result = drawn(source, precision);
        expect_same(result, drawn(other, precision));
        EXPECT_NE(result.images, before.images);
        expect_same(drawn(folder(), precision), before);  // what is kept of converted weights is the file's
    }
    EXPECT_NE(source->identity(), folder()->identity());
    EXPECT_EQ(folder()->identity(), folder()->identity());
    EXPECT_EQ(source->identity(), decorated(component, {{weight, changing()}})->identity());
}

INSTANTIATE_TEST_SUITE_P(Components, Decorator,
                         ::testing::Values(Case{"unet", "unet/diffusion_pytorch_model.safetensors",
                                                "conv_out.weight", "conv_out.weight"},
                                           Case{"text_encoder", "text_encoder/model.safetensors",
                                                "text_model.encoder.layers.0.self_attn.q_proj.weight",
                                                "encoder.layers.0.self_attn.q_proj.weight"},
                                           Case{"vae", "vae/diffusion_pytorch_model.safetensors",
                                                "decoder.conv_out.weight", "decoder.conv_out.weight"}),
                         [](const auto& tested) { return tested.param.component; });

// Of a model that is opened, one weight is copied: the others are those that are mapped.
TEST(Sources, ADecoratorCopiesWhatItAltersAlone) {
    const auto source = decorated("unet", {{"conv_out.weight", changing()}})->weights("unet");
    const auto plain = folder()->weights("unet");
    for (const DType precision : {DType::f16, DType::f32}) {
        const auto altered = in_precision(source, precision);
        std::size_t own = 0;
        for (const auto& name : altered->names()) {
            const Tensor tensor = *altered->find(name);
            if (name == "conv_out.weight") {
                EXPECT_EQ(tensor.data(), altered->find(name)->data());  // made once
                own += tensor.bytes();
            } else {
                // of one mapping, at the same place each time
                EXPECT_EQ(tensor.data(), altered->find(name)->data()) << name;
                EXPECT_TRUE(same_bits(tensor, *in_precision(plain, precision)->find(name))) << name;
            }
            EXPECT_EQ(tensor.type(), precision);
        }
        EXPECT_EQ(own, 4U * 8 * 3 * 3 * size_of(precision));
    }
}

TEST(Sources, LowRankPairsBesideAndMergedAreTheMergedWeights) {
    const std::string linear = "down_blocks.2.attentions.0.transformer_blocks.1.attn2.to_k.weight";
    const std::string conv = "down_blocks.2.resnets.0.conv1.weight";
    Generator generator(5);
    const std::map<std::string, LowRank> pairs = {
        {linear, {generator.randn({4, 24}), generator.randn({16, 4}), 0.25F}},
        {conv, {generator.randn({4, 8, 3, 3}), generator.randn({16, 4, 1, 1}), 0.05F}}};
    Alterations beside, into;
    std::map<std::string, Tensor> stored;
    const std::string file = "unet/diffusion_pytorch_model.safetensors";
    for (const auto& [name, pair] : pairs) {
        const Alteration add = {"pair", [pair = pair](const Weight& weight) {
                                    Weight result = weight;
                                    result.low_rank.push_back(pair);
                                    return result;
                                }};
        beside.emplace(name, add);
        into.emplace(name, merging(add));
        stored.emplace(name, merged(add.apply(*SafetensorsFile(kModel / file).find(name))));
    }
    const test::TempFolder temp;
    const auto expected = drawn(folder_with(temp, file, stored));
    expect_same(drawn(decorated("unet", into)), expected);
    const auto before = drawn(folder()).latents;
    const auto close = drawn(decorated("unet", beside)).latents;
    double error = 0, change = 0;
    for (std::size_t i = 0; i < close.span<float>().size(); ++i) {
        error = std::max(error, std::abs(double{close.span<float>()[i]} - expected.latents.span<float>()[i]));
        change =
            std::max(change, std::abs(double{before.span<float>()[i]} - expected.latents.span<float>()[i]));
    }
    EXPECT_GT(change, 0.01);
    EXPECT_LT(error, change / 50);  // the file's weights are rounded to f16
    EXPECT_NE(decorated("unet", beside)->identity(), decorated("unet", into)->identity());
}

}  // namespace
}  // namespace reprise
