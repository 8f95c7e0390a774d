// The ids of tests/parity/t5_tokenizer.py, which are those of transformers' T5Tokenizer, and broken folders.
#include "text/t5_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/captured_log.h"
#include "files/json.h"
#include "reprise/error.h"

namespace reprise {
namespace {

using test::logged;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::filesystem::path kFixtures = std::filesystem::path(REPRISE_FIXTURES) / "text_t5";

const Json& corpus() {
    static const Json kCorpus = load_json(kFixtures / "corpus.json");
    return kCorpus;
}

/// Those of CLIP's corpus, and T5's own.
const std::vector<std::string>& prompts() {
    static const auto kPrompts = [] {
        auto all = load_json(kFixtures.parent_path() / "text" / "corpus.json")["prompts"]
                       .get<std::vector<std::string>>();
        for (const auto& prompt : corpus()["prompts"]) all.push_back(prompt.get<std::string>());
        return all;
    }();
    return kPrompts;
}

class T5Parity : public testing::TestWithParam<const char*> {};

TEST_P(T5Parity, GivesTheSameIds) {
    const auto& known = corpus()["folders"][GetParam()];
    const auto length = corpus()["max_tokens"].get<std::int64_t>();
    const auto tokenizer = T5Tokenizer::load(kFixtures / GetParam());
    EXPECT_EQ(tokenizer.pad_id(), known["pad_id"]);
    EXPECT_EQ(tokenizer.eos_id(), known["eos_id"]);
    EXPECT_EQ(tokenizer.vocab_size(), known["size"]);

    const auto& encoded = known["encoded"];
    ASSERT_EQ(prompts().size(), encoded.size());
    for (std::size_t i = 0; i < prompts().size(); ++i) {
        const auto result = tokenizer.encode(prompts()[i], length);
        auto ids = encoded[i][0].get<std::vector<std::int64_t>>();
        std::vector<float> mask(ids.size(), 1.0F);
        ids.resize(static_cast<std::size_t>(length), tokenizer.pad_id());
        mask.resize(static_cast<std::size_t>(length), 0.0F);
        const auto lost = encoded[i].size() > 1 ? encoded[i][1].get<std::string>() : "";
        EXPECT_EQ(result.ids, ids) << i << ": " << prompts()[i];
        EXPECT_EQ(result.mask, mask) << i << ": " << prompts()[i];
        EXPECT_EQ(result.lost, lost) << i << ": " << prompts()[i];
        EXPECT_GE(result.lost_count, lost.empty() ? 0U : 1U) << i << ": " << prompts()[i];
    }
}

INSTANTIATE_TEST_SUITE_P(Folders, T5Parity, testing::Values("slow", "plain", "small", "fast", "both", "bare"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST(T5Tokenizer, EmptyPromptsAndShortOnes) {
    const auto tokenizer = T5Tokenizer::load(kFixtures / "small");
    const auto empty = tokenizer.encode("", 3);
    EXPECT_THAT(empty.ids, ElementsAre(1, 0, 0));
    EXPECT_THAT(empty.mask, ElementsAre(1, 0, 0));
    EXPECT_THAT(tokenizer.tokenize(" \t\n"), IsEmpty());
    const auto cut = tokenizer.encode("a photo", 1);
    EXPECT_THAT(cut.ids, ElementsAre(1));
    EXPECT_EQ(cut.lost, "a photo");
}

std::string message_of(const T5Files& files) {
    try {
        const T5Tokenizer tokenizer(files);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
        return error.what();
    }
    return "no error";
}

TEST(T5Files, TwoThatDisagreeAreReported) {
    auto files = T5Files::load(kFixtures / "both");
    EXPECT_EQ(logged([&] { T5Tokenizer{files}; }), "");

    auto& vocabulary = (*files.tokenizer)["model"]["vocab"];
    const auto piece = vocabulary[7];
    vocabulary[7][1] = -1.5;
    EXPECT_THAT(logged([&] { T5Tokenizer{files}; }), AllOf(HasSubstr("both"), HasSubstr("disagree"),
                                                           HasSubstr("score of piece 7"), HasSubstr("-1.5")));
    vocabulary[7] = {"zzz", piece[1]};
    EXPECT_THAT(logged([&] { T5Tokenizer{files}; }), HasSubstr("piece 7 is 'zzz'"));
    vocabulary[7] = piece;
    (*files.tokenizer)["normalizer"] = nullptr;
    EXPECT_THAT(logged([&] { T5Tokenizer{files}; }), HasSubstr("normalize"));
}

TEST(T5Files, WhatIsBrokenIsNamed) {
    const auto broken = [](const std::function<void(T5Files&)>& change) {
        auto files = T5Files::load(kFixtures / "both");
        change(files);
        return message_of(files);
    };
    const auto in_tokenizer = [&](const std::string& pointer, const Json& value) {
        return broken([&](T5Files& files) { (*files.tokenizer)[Json::json_pointer(pointer)] = value; });
    };
    EXPECT_THAT(in_tokenizer("/model/type", "BPE"), AllOf(HasSubstr("tokenizer.json"), HasSubstr("'BPE'")));
    EXPECT_THAT(in_tokenizer("/model/unk_id", 0), HasSubstr("unk_id is 0"));
    EXPECT_THAT(in_tokenizer("/model/vocab/5", "x"), HasSubstr("model.vocab[5]"));
    EXPECT_THAT(in_tokenizer("/model/vocab/5/0", ""), HasSubstr("piece 5"));
    EXPECT_THAT(in_tokenizer("/model/vocab/5/0", "</s>"), HasSubstr("twice"));
    EXPECT_THAT(in_tokenizer("/model/vocab/5/0", std::string("a\0b", 3)), HasSubstr("NUL"));
    EXPECT_THAT(in_tokenizer("/model/vocab/5/1", 1e300), HasSubstr("finite"));
    EXPECT_THAT(in_tokenizer("/model/vocab", Json::array()), HasSubstr("pieces"));
    EXPECT_THAT(in_tokenizer("/post_processor/single/1/SpecialToken/id", "<pad>"),
                HasSubstr("post_processor"));
    EXPECT_THAT(in_tokenizer("/normalizer/precompiled_charsmap", "AB*="), HasSubstr("base64"));
    EXPECT_THAT(in_tokenizer("/normalizer/precompiled_charsmap", "AAAA"), HasSubstr("precompiled_charsmap"));

    const auto sentencepiece = [&](const std::string& bytes) {
        return broken([&](T5Files& files) {
            files.tokenizer.reset();
            files.sentencepiece = bytes;
        });
    };
    EXPECT_THAT(sentencepiece("hello"), AllOf(HasSubstr("spiece.model"), HasSubstr("protobuf")));
    EXPECT_THAT(sentencepiece(""), HasSubstr("unknown piece is 0"));
    const auto whole = *T5Files::load(kFixtures / "small").sentencepiece;
    EXPECT_THAT(sentencepiece(whole.substr(0, whole.size() / 2)), HasSubstr("protobuf"));

    EXPECT_THAT(broken([](T5Files& files) { (*files.config)["extra_ids"] = -1; }), HasSubstr("extra_ids"));
    EXPECT_THAT(broken([](T5Files& files) { (*files.config)["padding_side"] = "left"; }),
                HasSubstr("padding_side"));
    EXPECT_THAT(broken([](T5Files& files) { (*files.config)["eos_token"] = "<end>"; }), HasSubstr("'<end>'"));
}

TEST(T5Files, AFolderWithoutEitherFileIsNamed) {
    try {
        T5Files::load(kFixtures.parent_path() / "text" / "slow");
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr("spiece.model"), HasSubstr("tokenizer.json")));
    }
}

}  // namespace
}  // namespace reprise
