// The ids of tests/parity/tokenizer.py, which are those of transformers' CLIPTokenizer.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "files/json.h"
#include "text/clip_tokenizer.h"

namespace reprise {
namespace {

const std::filesystem::path kFixtures = std::filesystem::path(REPRISE_FIXTURES) / "text";

const Json& corpus() {
    static const Json kCorpus = load_json(kFixtures / "corpus.json");
    return kCorpus;
}

class ClipParity : public testing::TestWithParam<const char*> {
  protected:
    const Json& known() const { return corpus()["folders"][GetParam()]; }
};

TEST_P(ClipParity, GivesTheSameIds) {
    const auto tokenizer = ClipTokenizer::load(kFixtures / GetParam());
    EXPECT_EQ(tokenizer.max_length(), known()["max_length"]);
    EXPECT_EQ(tokenizer.pad_id(), known()["pad_id"]);
    EXPECT_EQ(tokenizer.bos_id(), known()["bos_id"]);
    EXPECT_EQ(tokenizer.eos_id(), known()["eos_id"]);
    EXPECT_EQ(tokenizer.vocab_size(), known()["size"]);

    const auto* encoded = &known()["encoded"];
    if (encoded->is_string()) encoded = &corpus()["folders"][encoded->get<std::string>()]["encoded"];
    const auto& prompts = corpus()["prompts"];
    ASSERT_EQ(prompts.size(), encoded->size());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        const auto prompt = prompts[i].get<std::string>();
        auto ids = (*encoded)[i][0].get<std::vector<std::int64_t>>();
        ids.resize(static_cast<std::size_t>(tokenizer.max_length()), tokenizer.pad_id());
        const auto lost = (*encoded)[i].size() > 1 ? (*encoded)[i][1].get<std::string>() : "";
        const auto result = tokenizer.encode(prompt);
        EXPECT_EQ(result.ids, ids) << i << ": " << prompt;
        EXPECT_EQ(result.lost, lost) << i << ": " << prompt;
        EXPECT_GE(result.lost_count, lost.empty() ? 0U : 1U) << i << ": " << prompt;
    }
}

INSTANTIATE_TEST_SUITE_P(Folders, ClipParity,
                         testing::Values("slow", "slow_bang", "slow_added", "fast", "fast_bang",
                                         "legacy_fast", "gaps"),
                         [](const auto& parameter) { return std::string(parameter.param); });

void append_utf8(std::string& text, char32_t c) {
    const auto byte = [&](char32_t value) { text += static_cast<char>(static_cast<unsigned char>(value)); };
    if (c < 0x80) return byte(c);
    if (c < 0x800) {
        byte(0xc0 | (c >> 6U));
    } else {
        if (c < 0x10000) {
            byte(0xe0 | (c >> 12U));
        } else {
            byte(0xf0 | (c >> 18U));
            byte(0x80 | ((c >> 12U) & 0x3f));
        }
        byte(0x80 | ((c >> 6U) & 0x3f));
    }
    byte(0x80 | (c & 0x3f));
}

std::uint32_t crc32(const std::vector<std::int64_t>& ids) {
    std::uint32_t crc = 0xffffffff;
    for (const auto id : ids) {
        for (unsigned shift = 0; shift < 32; shift += 8) {
            crc ^= (static_cast<std::uint32_t>(id) >> shift) & 0xffU;
            for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ (0xedb88320U & (0U - (crc & 1U)));
        }
    }
    return ~crc;
}

/// Every code point of Unicode beside letters and between combining marks, as sweep_texts of the script.
TEST(ClipParitySweep, EveryCodePoint) {
    const auto tokenizer = ClipTokenizer::load(kFixtures / "slow");
    const auto& sums = corpus()["folders"]["slow"]["sweep"];
    ASSERT_EQ(sums.size(), 2U * 0x110);
    for (char32_t base = 0; base < 0x110000; base += 0x1000) {
        std::string plain;
        std::string marked;
        for (char32_t c = base; c < base + 0x1000; ++c) {
            if (c >= 0xd800 && c < 0xe000) continue;
            append_utf8(plain += 'a', c);
            append_utf8(marked += "x\u0345", c);
            marked += "\u0334B";
        }
        const auto block = std::size_t{base} / 0x1000;
        EXPECT_EQ(crc32(tokenizer.tokenize(plain)), sums[2 * block]) << "block " << block;
        EXPECT_EQ(crc32(tokenizer.tokenize(marked)), sums[2 * block + 1]) << "block " << block;
    }
}

TEST(ClipParitySweep, ThreadsMayShareATokenizer) {
    const auto tokenizer = ClipTokenizer::load(kFixtures / "fast");
    const auto& prompts = corpus()["prompts"];
    std::vector<std::vector<ClipTokenizer::Encoded>> results(3);
    std::vector<std::thread> threads;
    for (auto& result : results)
        threads.emplace_back([&tokenizer, &prompts, &result] {
            for (const auto& prompt : prompts)
                result.push_back(tokenizer.encode(prompt.get_ref<const std::string&>()));
        });
    for (auto& thread : threads) thread.join();
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(results[0][i].ids, results[1][i].ids);
        EXPECT_EQ(results[0][i].ids, results[2][i].ids);
    }
}

}  // namespace
}  // namespace reprise
