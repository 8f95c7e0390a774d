#include "text/clip_tokenizer.h"

#include <gtest/gtest.h>

#include <string>

#include "files/support.h"
#include "text/added_tokens.h"
#include "text/byte_level.h"
#include "text/unicode.h"
#include "text/word_splitter.h"

namespace reprise {
namespace {

using testing::ElementsAre;

const ClipTokenizer& tokenizer() {
    static const auto kTokenizer =
        ClipTokenizer::load(std::filesystem::path(REPRISE_FIXTURES) / "text" / "slow");
    return kTokenizer;
}

TEST(ClipTokenizer, FillsToTheLengthAndSaysWhatIsLost) {
    const auto empty = tokenizer().encode("");
    EXPECT_EQ(empty.ids.size(), 77U);
    EXPECT_EQ(empty.ids[0], tokenizer().bos_id());
    EXPECT_EQ(empty.ids[1], tokenizer().eos_id());
    EXPECT_EQ(empty.lost, "");
    EXPECT_EQ(empty.lost_count, 0U);

    std::string prompt;
    for (int i = 0; i < 75; ++i) prompt += "cat ";
    EXPECT_EQ(tokenizer().encode(prompt).lost_count, 0U);
    const auto cut = tokenizer().encode(prompt + "the Dog");
    EXPECT_EQ(cut.ids, tokenizer().encode(prompt).ids);
    EXPECT_EQ(cut.lost, "the dog");
    EXPECT_GE(cut.lost_count, 2U);
}

TEST(ClipTokenizer, DecodesWhatItEncoded) {
    for (const std::string text : {"a photo of a cat", "кот 猫 😀", "crème brûlée"})
        EXPECT_EQ(tokenizer().decode(tokenizer().tokenize(text)), text);
    const std::int64_t ids[] = {tokenizer().bos_id(), -1, 1 << 30, tokenizer().eos_id()};
    EXPECT_EQ(tokenizer().decode(ids), "<|startoftext|><|endoftext|>");
}

TEST(ClipTokenizer, NamesOfSeveralVectorsStandForAll) {
    auto files = ClipFiles::load(std::filesystem::path(REPRISE_FIXTURES) / "text" / "slow");
    ASSERT_TRUE(files.config);
    auto& decoder = (*files.config)["added_tokens_decoder"];
    const auto first = static_cast<int>(files.vocabulary->size());
    int id = first;
    for (const char* content : {"<cat>", "<cat>_1", "<cat>_2", "<Dog>", "<Dog>_1"})
        decoder[std::to_string(id++)] = {{"content", content}};
    const ClipTokenizer learned(files);
    EXPECT_EQ(learned.with_all_vectors("a <cat> on<cat>s"),
              "a <cat> <cat>_1 <cat>_2 on<cat> <cat>_1 <cat>_2s");
    for (const char* text : {"<cat>_1", "<CAT>", "<Dog>"}) EXPECT_EQ(learned.with_all_vectors(text), text);
    EXPECT_THAT(learned.encode(learned.with_all_vectors("<cat>"), 5).ids,
                ElementsAre(learned.bos_id(), first, first + 1, first + 2, learned.eos_id()));
    std::string many;
    for (int i = 0; i < 2000; ++i) many += "<cat>";
    EXPECT_EQ(learned.with_all_vectors(many).size(), 2000 * std::string("<cat> <cat>_1 <cat>_2").size());
}

TEST(ClipTokenizer, IllFormedTextReadsAsReplacementCharacters) {
    const auto ids = [](std::string_view text) { return tokenizer().tokenize(text); };
    EXPECT_EQ(ids("a\xff z"), ids("a\uFFFD z"));
    EXPECT_EQ(ids("\xe7\x8c"), ids("\uFFFD"));                            // cut off
    EXPECT_EQ(ids("\xed\xa0\x80"), ids("\uFFFD\uFFFD\uFFFD"));            // a surrogate
    EXPECT_EQ(ids("\xc0\xaf"), ids("\uFFFD\uFFFD"));                      // overlong
    EXPECT_EQ(ids("\xf4\x90\x80\x80"), ids("\uFFFD\uFFFD\uFFFD\uFFFD"));  // past U+10FFFF
    EXPECT_EQ(ids("\xf0\x9f\x98 cat"), ids("\uFFFD cat"));
}

TEST(ClipTokenizer, HugePrompts) {
    const std::string word(100'000, 'a');
    const auto ids = tokenizer().tokenize(word);
    EXPECT_EQ(tokenizer().decode(ids), word);
    EXPECT_EQ(tokenizer().encode(word).lost_count, ids.size() - 75);
    std::string marks = "a";
    std::string ordered = "\u00e1";  // all of class 220 come first, then an acute joins the letter
    for (int i = 0; i < 200'000; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0316";
    for (int i = 0; i < 100'000; ++i) ordered += "\u0316";
    for (int i = 1; i < 100'000; ++i) ordered += "\u0301";
    EXPECT_EQ(compose(marks), ordered);
    EXPECT_GT(tokenizer().encode(marks).lost_count, 0U);
    EXPECT_THAT(test::error_of([] { tokenizer().encode(std::string((16U << 20U) + 1, 'a')); }),
                testing::HasSubstr("the prompt is 16777217 bytes long"));
}

TEST(ByteLevel, SymbolsAndBytesAreInverse) {
    std::string all;
    std::string back;
    for (unsigned byte = 0; byte < 256; ++byte) {
        all += static_cast<char>(byte);
        append_token_bytes(back, byte_symbols()[byte]);
    }
    EXPECT_EQ(back, all);
    EXPECT_EQ(byte_symbols()['!'], "!");
    EXPECT_EQ(byte_symbols()[' '], "Ġ");
    std::string other = "x";
    append_token_bytes(other, "Ġ猫");  // not of the alphabet: as it is
    EXPECT_EQ(other, "xĠ猫");
}

TEST(Unicode, LowerCaseKnowsNoContext) {
    const auto lower = [](char32_t c) {
        std::string text;
        append_lower(text, c);
        return text;
    };
    EXPECT_EQ(lower(U'Σ'), "σ");
    EXPECT_EQ(lower(0x130), "i\u0307");
    EXPECT_EQ(lower(U'ẞ'), "ß");
    EXPECT_EQ(lower(0xa7cb), "\u0264");       // of Unicode 16
    EXPECT_EQ(lower(0x16ea0), "\U00016ebb");  // of Unicode 17
}

TEST(Unicode, ClassesAndComposition) {
    EXPECT_EQ(char_class(0x2ebf0), CharClass::letter);  // of Unicode 15.1
    EXPECT_EQ(char_class(U'½'), CharClass::number);
    EXPECT_EQ(char_class(0x85), CharClass::space);
    EXPECT_EQ(char_class(0x200b), CharClass::other);
    EXPECT_EQ(char_class(0x10ffff), CharClass::other);
    EXPECT_EQ(compose("e\u0301"), "é");
    EXPECT_EQ(compose("x\u0345\u07fd"), "x\u0345\u07fd");  // U+07FD is a mark since Unicode 11
    EXPECT_EQ(strip("\u2003 \x1f"
                    "a b\u0085"),
              "a b");
    EXPECT_EQ(strip(" \n"), "");
}

TEST(Words, AsClipSplitsThem) {
    EXPECT_THAT(split_clip_words("it's 12 a_b!'s"),
                ElementsAre("it", "'s", "1", "2", "a", "_", "b", "!'", "s"));
    EXPECT_THAT(split_clip_words("<|endoftext|>!!"), ElementsAre("<|", "endoftext", "|>", "!!"));
    EXPECT_THAT(split_clip_words("!<|endoftext|>!!"), ElementsAre("!<|", "endoftext", "|>!!"));
    EXPECT_EQ(normalize_for_clip(" A\u3000\tÉ "), " a é ");
}

TEST(AddedTokens, LeftmostThenLongest) {
    AddedTokenFinder finder;
    EXPECT_TRUE(finder.add({.content = "ab"}, "ab", 1));
    EXPECT_TRUE(finder.add({.content = "abc"}, "abc", 2));
    EXPECT_TRUE(finder.add({.content = "bcd", .lstrip = true, .rstrip = true}, "bcd", 3));
    EXPECT_TRUE(finder.add({.content = "w", .single_word = true}, "w", 4));
    EXPECT_FALSE(finder.add({.content = "W"}, "w", 5));
    const auto ids = [&](std::string_view text) {
        std::vector<std::int64_t> found;
        for (const auto& part : finder.split(text)) found.push_back(part.id);
        return found;
    };
    EXPECT_THAT(ids(""), ElementsAre());
    EXPECT_THAT(ids("xabcd"), ElementsAre(-1, 2, -1));
    EXPECT_THAT(ids("ab  bcd  ab"), ElementsAre(1, 3, 1));
    EXPECT_THAT(ids("w ww w\u0301 w."), ElementsAre(4, -1, 4, -1));
}

}  // namespace
}  // namespace reprise
