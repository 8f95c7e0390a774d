// A family whose texts have buckets: a picture has the bucket of its own text, whatever else is drawn with
// it.
#include "pipelines/text_length.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "files/model_folder.h"
#include "models/registry.h"
#include "models/weight_names.h"
#include "pipelines/support.h"
#include "pipelines/t5_text.h"
#include "pipelines/text_to_image.h"
#include "reprise/error.h"

namespace reprise::pipelines {
namespace {

using reprise::testing::same_bits;

TEST(TextLength, IsFixedAMultipleOrABucket) {
    const auto fixed = TextLength::fixed(77);
    EXPECT_EQ(fixed.of(3), 77);
    EXPECT_EQ(fixed.of(300), 77);
    const auto multiple = TextLength::multiple_of(16, 120);
    EXPECT_EQ(multiple.of(0), 16);
    EXPECT_EQ(multiple.of(16), 16);
    EXPECT_EQ(multiple.of(17), 32);
    EXPECT_EQ(multiple.of(119), 120);  // the most is no multiple
    EXPECT_EQ(multiple.of(1000), 120);
    const auto masked = TextLength::masked({32, 64, 256});
    EXPECT_EQ(masked.most, 256);
    EXPECT_EQ(masked.of(1), 32);
    EXPECT_EQ(masked.of(33), 64);
    EXPECT_EQ(masked.of(257), 256);
    EXPECT_THROW(TextLength::masked({64, 64}), Error);
    EXPECT_THROW(TextLength::masked({}), Error);
}

std::filesystem::path fixture() {
    return std::filesystem::path(REPRISE_FIXTURES) / "pipelines" / "tiny-pixart";
}

/// PixArt's encoder, of which texts are as long as `length` says.
class Bucketed final : public Conditioner {
  public:
    Bucketed(const std::shared_ptr<const ModelSource>& source, const Engine& engine, TextLength length)
        : encoder_(source, "", engine, {}),
          tokenizer_(T5Tokenizer::load(source->tokenizer("tokenizer"))),
          length_(std::move(length)) {}

    bool honours(options::About about) const override { return about == options::About::texts; }
    void check(const GenerateOptions& /*options*/) const override {}
    std::vector<models::Conditioning> encode(const GenerateOptions& options, const std::string& prompt,
                                             bool guidance) const override {
        std::vector<std::string> texts = {prompt};
        if (guidance) texts.insert(texts.begin(), options.negative_prompt.value_or(""));
        std::int64_t longest = 0;
        for (const std::string& text : texts) {
            const auto mask = tokenizer_.encode(text, length_.most).mask;
            longest = std::max(longest, std::int64_t{std::count(mask.begin(), mask.end(), 1.0F)});
        }
        lengths.push_back(length_.of(longest));
        std::vector<models::Conditioning> halves;
        for (const auto& encoded : encoder_(texts, {lengths.back(), true}))
            halves.push_back({{models::kText, encoded.hidden_states}, {models::kTextMask, encoded.mask}});
        return halves;
    }
    void release_large() const override {}
    TextLength text_length(const GenerateOptions& /*options*/) const override { return length_; }
    std::int64_t text_width() const override { return encoder_.width(); }
    std::int64_t pooled_width() const override { return 0; }

    mutable std::vector<std::int64_t> lengths;  ///< of what was encoded

  private:
    T5Text encoder_;
    T5Tokenizer tokenizer_;
    TextLength length_;
};

struct Family {
    explicit Family(const TextLength& length) {
        const auto source =
            std::make_shared<ModelFolder>(fixture(), ModelFolderOptions{"", models::name_rule});
        Engine engine;
        engine.backend = backends::create("reference");
        const std::string name = source->component("transformer").class_name;
        auto denoiser = std::make_unique<GuidedDenoiser>(
            name, models::make_denoiser(name, source->config("transformer")),
            in_precision(source->weights("transformer"), DType::f32), engine);
        auto made = std::make_unique<Bucketed>(source, engine, length);
        conditioner = made.get();
        PipelineParts parts{source, {}, engine, {}};
        parts.denoisers.push_back({"transformer", std::move(denoiser)});
        pipe = std::make_unique<TextToImage>(std::move(parts), std::move(made), TextToImage::Binning{});
    }
    /// Latents of a call for these prompts, each from the same noise.
    Tensor operator()(const std::vector<std::string>& prompts) const {
        GenerateOptions options;
        options.prompts = prompts;
        options.num_inference_steps = 3;
        options.guidance_scale = 4;
        options.guidance_mode = GuidanceMode::split;
        options.decode = false;
        const Tensor noise = Generator(3).randn({1, 4, 8, 8});
        options.latents = Tensor(DType::f32, {static_cast<std::int64_t>(prompts.size()), 4, 8, 8});
        auto out = options.latents.span<float>().begin();
        for (std::size_t i = 0; i < prompts.size(); ++i)
            out = std::copy(noise.span<float>().begin(), noise.span<float>().end(), out);
        return (*pipe)(options).latents;
    }

    const Bucketed* conditioner = nullptr;
    std::unique_ptr<TextToImage> pipe;
};

TEST(TextBuckets, AreChosenForAPictureNotForACall) {
    const std::string brief = "apple";
    const std::string lengthy =
        "a red apple, a blue book, a dog and a cat on a table in a room with a window";
    const std::pair<TextLength, std::vector<std::int64_t>> cases[] = {
        {TextLength::masked({8, 16, 120}), {8, 120}},
        {TextLength::multiple_of(8, 64), {8, 48}},
        {TextLength::fixed(24), {24, 24}}};
    for (const auto& [length, expected] : cases) {
        const Family family(length);
        const Tensor together = family({brief, lengthy, brief});
        const auto& lengths = family.conditioner->lengths;
        EXPECT_EQ(lengths[0], expected[0]);
        EXPECT_EQ(lengths[1], expected[1]);
        EXPECT_TRUE(same_bits(together.rows(0, 1), family({brief})));
        EXPECT_TRUE(same_bits(together.rows(1, 2), family({lengthy})));
        EXPECT_TRUE(same_bits(together.rows(2, 3), together.rows(0, 1)));
        EXPECT_FALSE(same_bits(together.rows(0, 1), together.rows(1, 2)));
    }
}

}  // namespace
}  // namespace reprise::pipelines
