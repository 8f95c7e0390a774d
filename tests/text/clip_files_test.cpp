// Tokenizer folders that are broken, lie, or are of another kind: one line that names file and key.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "files/json.h"
#include "files/support.h"
#include "text/clip_tokenizer.h"

namespace reprise {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ClipFiles files_of(const std::string& name) {
    return ClipFiles::load(std::filesystem::path(REPRISE_FIXTURES) / "text" / name);
}

/// The error for a folder of the fixtures after a change.
std::string error_after(const std::string& name, const std::function<void(ClipFiles&)>& change) {
    auto files = files_of(name);
    change(files);
    const auto message = test::error_of([&] { ClipTokenizer tokenizer(files); });
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
}

ClipTokenizer tokenizer_after(const std::string& name, const std::function<void(ClipFiles&)>& change) {
    auto files = files_of(name);
    change(files);
    return ClipTokenizer(files);
}

TEST(ClipFolder, AbsentOrIncomplete) {
    const test::TempFolder folder;
    EXPECT_THAT(test::error_of([&] { ClipTokenizer::load(folder / "none"); }),
                AllOf(HasSubstr("none"), HasSubstr("vocab.json")));
    folder.put("vocab.json", "{\"a\": 0}");
    EXPECT_THAT(test::error_of([&] { ClipTokenizer::load(folder.path()); }), HasSubstr("merges.txt"));
}

TEST(ClipFolder, TruncatedFiles) {
    const test::TempFolder folder;
    const auto source = std::filesystem::path(REPRISE_FIXTURES) / "text" / "slow";
    const auto vocabulary = test::read(source / "vocab.json");
    folder.put("vocab.json", vocabulary.substr(0, vocabulary.size() / 2));
    folder.put("merges.txt", test::read(source / "merges.txt"));
    EXPECT_THAT(test::error_of([&] { ClipTokenizer::load(folder.path()); }),
                AllOf(HasSubstr("vocab.json"), HasSubstr("broken JSON")));
    folder.put("vocab.json", vocabulary);
    EXPECT_EQ(ClipTokenizer::load(folder.path()).max_length(), 77);  // no tokenizer_config.json is needed
    folder.put("merges.txt", "#version: 0.2\r\nc a\r\n\r\nca t</w>\r\n");
    EXPECT_EQ(ClipTokenizer::load(folder.path()).tokenize("cat").size(), 1U);
    folder.put("tokenizer_config.json", "[]");
    EXPECT_THAT(test::error_of([&] { ClipTokenizer::load(folder.path()); }),
                HasSubstr("tokenizer_config.json"));
}

TEST(ClipFolder, TokenizerJsonComesFirst) {
    const test::TempFolder folder;
    const auto source = std::filesystem::path(REPRISE_FIXTURES) / "text" / "fast";
    folder.put("tokenizer.json", test::read(source / "tokenizer.json"));
    folder.put("vocab.json", "broken");
    EXPECT_EQ(ClipTokenizer::load(folder.path()).decode(ClipTokenizer::load(source).tokenize("a cat")),
              "a cat");
}

/// As transformers 5.23 reads them: both tokens hold, in either order, with the ids of the vocabulary.
TEST(ClipFolder, TwoAddedTokensWithOneId) {
    auto files = ClipFiles::load(std::filesystem::path(REPRISE_FIXTURES) / "text" / "fast");
    constexpr const char* kText = "A photo <|STARTOFTEXT|> of <|endoftext|> caf\u00e9";
    const auto expected = ClipTokenizer(files).encode(kText).ids;
    auto& added = (*files.tokenizer)["added_tokens"];
    ASSERT_EQ(added.size(), 2U);
    added[1]["id"] = added[0]["id"];
    EXPECT_EQ(ClipTokenizer(files).encode(kText).ids, expected);
    std::swap(added[0], added[1]);
    EXPECT_EQ(ClipTokenizer(files).encode(kText).ids, expected);
}

TEST(ClipVocabulary, NotAnObject) {
    for (const Json& value : {Json(), Json(3), Json::array({"a"}), Json::object()}) {
        EXPECT_THAT(error_after("slow", [&](ClipFiles& files) { files.vocabulary = value; }),
                    AllOf(HasSubstr("vocab.json"), HasSubstr("expected")));
        EXPECT_THAT(
            error_after("fast", [&](ClipFiles& files) { (*files.tokenizer)["model"]["vocab"] = value; }),
            HasSubstr("tokenizer.json"));
    }
}

TEST(ClipVocabulary, BadIds) {
    for (const Json& id :
         {Json(-1), Json(1.5), Json("7"), Json(), Json(std::uint64_t{1} << 40U), Json(16777216)})
        EXPECT_THAT(error_after("slow", [&](ClipFiles& files) { (*files.vocabulary)["cat</w>"] = id; }),
                    AllOf(HasSubstr("vocab.json"), HasSubstr("cat</w>"), HasSubstr(id.dump())));
    EXPECT_THAT(error_after("slow", [](ClipFiles& files) { (*files.vocabulary)["another"] = 5; }),
                AllOf(HasSubstr("another"), HasSubstr("both have the id 5")));
}

TEST(ClipVocabulary, TruncatedByItself) {
    const auto drop = [](const char* token) {
        return [=](ClipFiles& files) { files.vocabulary->erase(token); };
    };
    EXPECT_THAT(error_after("slow", drop("ca")), AllOf(HasSubstr("merge"), HasSubstr("'ca'")));
    EXPECT_THAT(error_after("slow", drop("<|endoftext|>")),
                AllOf(HasSubstr("eos_token"), HasSubstr("<|endoftext|>")));
    EXPECT_THAT(error_after("slow", drop("<|startoftext|>")), HasSubstr("bos_token"));
    EXPECT_THAT(error_after("gaps",
                            [](ClipFiles& files) {
                                files.vocabulary->erase("</s>");
                                files.added_tokens = Json{{"</s>", 247}};
                            }),
                AllOf(HasSubstr("byte symbol"), HasSubstr("</s>")));
}

TEST(ClipMerges, BadLines) {
    const auto with = [](const char* lines) { return [=](ClipFiles& files) { files.merges = lines; }; };
    EXPECT_THAT(error_after("slow", with("#version: 0.2\nt h e\n")),
                AllOf(HasSubstr("merges.txt"), HasSubstr("line 2")));
    EXPECT_THAT(error_after("slow", with("the")), HasSubstr("line 1"));
    EXPECT_THAT(error_after("slow", with("zz zz")), HasSubstr("'zz'"));
    EXPECT_THAT(error_after("slow", with("t \xff")), HasSubstr("not in the vocabulary"));
    EXPECT_THAT(error_after("slow", with("z z")), HasSubstr("'zz'"));
}

TEST(ClipMerges, BadJson) {
    const auto with = [](Json merges) {
        return [=](ClipFiles& files) { (*files.tokenizer)["model"]["merges"] = merges; };
    };
    EXPECT_THAT(error_after("fast", with("t h")), HasSubstr("model.merges"));
    EXPECT_THAT(error_after("fast", with({"t h", "t h e"})), HasSubstr("model.merges[1]"));
    EXPECT_THAT(error_after("fast", with(Json::array({Json::array({"t", "h", "e"})}))),
                HasSubstr("model.merges[0]"));
    EXPECT_THAT(error_after("fast", with(Json::array({Json::array({"t", 1})}))),
                HasSubstr("model.merges[0]"));
    EXPECT_THAT(error_after("fast", with(Json::array({Json::array({"qq", "qq"})}))), HasSubstr("'qq'"));
    EXPECT_THAT(error_after("fast", with(nullptr)), HasSubstr("merges"));
    EXPECT_THAT(error_after("fast", [](ClipFiles& files) { files.tokenizer = Json::array(); }),
                HasSubstr("model"));
    EXPECT_THAT(error_after("fast", [](ClipFiles& files) { (*files.tokenizer)["model"] = 1; }),
                HasSubstr("vocab"));
}

TEST(ClipConfig, WrongTypes) {
    const auto with = [](const char* key, Json value) {
        return [=](ClipFiles& files) {
            files.special_tokens.reset();
            (*files.config)[key] = value;
        };
    };
    EXPECT_THAT(error_after("slow", with("eos_token", 5)),
                AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("eos_token")));
    EXPECT_THAT(error_after("slow", with("eos_token", {{"text", "x"}})), HasSubstr("content"));
    EXPECT_THAT(error_after("slow", with("eos_token", {{"content", "x"}, {"lstrip", 1}})),
                HasSubstr("lstrip"));
    EXPECT_THAT(error_after("slow", with("eos_token", "")), HasSubstr("0 bytes"));
    EXPECT_THAT(error_after("slow", with("eos_token", std::string(2000, 'x'))), HasSubstr("2000 bytes"));
    EXPECT_THAT(error_after("slow", with("eos_token", "</s>")),
                AllOf(HasSubstr("'</s>'"), HasSubstr("not in the vocabulary")));
    EXPECT_THAT(error_after("slow", with("pad_token", "[PAD]")), HasSubstr("pad_token"));
    EXPECT_THAT(error_after("slow", with("additional_special_tokens", "x")), HasSubstr("list"));
    EXPECT_THAT(error_after("slow", with("padding_side", "left")), HasSubstr("padding_side"));
    EXPECT_THAT(error_after("slow", with("truncation_side", "left")), HasSubstr("truncation_side"));
    EXPECT_THAT(error_after("slow", with("added_tokens_decoder", Json::array())),
                HasSubstr("added_tokens_decoder"));
    EXPECT_THAT(error_after("slow", with("added_tokens_decoder", {{"x", "y"}})), HasSubstr("'x'"));
    EXPECT_THAT(error_after("slow", with("added_tokens_decoder", {{"99999999", "y"}})),
                HasSubstr("99999999"));
    EXPECT_THAT(error_after("slow", [](ClipFiles& files) { files.special_tokens = 1; }),
                HasSubstr("special_tokens_map.json"));
    EXPECT_THAT(error_after("slow",
                            [](ClipFiles& files) {
                                files.added_tokens = Json{{"x", -1}};
                            }),
                HasSubstr("added_tokens.json"));
}

TEST(ClipConfig, MaxLength) {
    const auto with = [](Json value) {
        return [=](ClipFiles& files) { (*files.config)["model_max_length"] = value; };
    };
    for (const Json& value : {Json(1e30), Json(), Json(70000), Json(std::uint64_t{1} << 63U)})
        EXPECT_EQ(tokenizer_after("slow", with(value)).max_length(), 77);
    EXPECT_EQ(tokenizer_after("slow", with(3)).max_length(), 3);
    EXPECT_EQ(tokenizer_after("slow", with(248)).encode("").ids.size(), 248U);
    for (const Json& value : {Json(2), Json(0), Json(-5), Json(7.5), Json("77"), Json(true)})
        EXPECT_THAT(error_after("slow", with(value)), HasSubstr("model_max_length"));
}

TEST(ClipConfig, AddedTokens) {
    EXPECT_THAT(error_after("slow_added",
                            [](ClipFiles& files) {
                                files.added_tokens = Json{{"<Toy>", 1034}, {"<toy>", 1035}};
                            }),
                AllOf(HasSubstr("<toy>"), HasSubstr("lower case")));
    EXPECT_THAT(error_after("slow_added", [](ClipFiles& files) { (*files.vocabulary)["gap"] = 1036; }),
                AllOf(HasSubstr("without gaps"), HasSubstr("gap")));
    const auto split =
        tokenizer_after("slow", [](ClipFiles& files) { (*files.config)["split_special_tokens"] = true; });
    EXPECT_GT(split.tokenize("<|endoftext|>").size(), 1U);
}

struct PipelineCase {
    const char* pointer;
    Json value;
    const char* key;
};

TEST(ClipPipeline, RefusesOtherTokenizersByName) {
    const PipelineCase cases[] = {
        {"/normalizer", nullptr, "normalizer"},
        {"/normalizer/type", "NFKC", "normalizer"},
        {"/normalizer/normalizers", 3, "normalizer"},
        {"/normalizer/normalizers/0/type", "NFKC", "normalizer"},
        {"/normalizer/normalizers/1/pattern", {{"Regex", "x"}}, "normalizer"},
        {"/normalizer/normalizers/1/content", "", "normalizer"},
        {"/pre_tokenizer", {{"type", "Metaspace"}}, "Metaspace"},
        {"/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+", "pre_tokenizer"},
        {"/pre_tokenizer/pretokenizers/0/invert", false, "pre_tokenizer"},
        {"/pre_tokenizer/pretokenizers/0/behavior", "Isolated", "pre_tokenizer"},
        {"/pre_tokenizer/pretokenizers/1/add_prefix_space", true, "pre_tokenizer"},
        {"/pre_tokenizer/pretokenizers/1/use_regex", false, "pre_tokenizer"},
        {"/decoder", {{"type", "WordPiece"}}, "decoder"},
        {"/post_processor", nullptr, "post_processor"},
        {"/post_processor/sep/0", "</s>", "post_processor"},
        {"/post_processor/type", "ByteLevel", "post_processor"},
        {"/model/type", "Unigram", "model.type"},
        {"/model/end_of_word_suffix", "", "model.end_of_word_suffix"},
        {"/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix"},
        {"/model/dropout", 0.1, "model.dropout"},
        {"/model/byte_fallback", true, "model.byte_fallback"},
        {"/model/ignore_merges", true, "model.ignore_merges"},
        {"/truncation", {{"direction", "Left"}}, "truncation"},
        {"/padding", {{"direction", "Left"}}, "padding"},
        {"/added_tokens", {{"id", 1}}, "added_tokens"},
        {"/added_tokens/0/id", -1, "-1"},
        {"/added_tokens/0/content", 1, "content"},
    };
    for (const auto& [pointer, value, key] : cases)
        EXPECT_THAT(
            error_after("fast",
                        [&](ClipFiles& files) { (*files.tokenizer)[Json::json_pointer(pointer)] = value; }),
            AllOf(HasSubstr("tokenizer.json"), HasSubstr(key)))
            << pointer;
}

}  // namespace
}  // namespace reprise
