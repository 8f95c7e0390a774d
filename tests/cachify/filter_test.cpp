#include "cachify/filter.h"

#include <gtest/gtest.h>

#include "reprise/cachify.h"
#include "reprise/error.h"

namespace reprise::cachify {
namespace {

struct Match {
    const char* pattern;
    const char* name;
    bool matches;
};

// Expected values are Python's fnmatch.fnmatchcase.
constexpr Match kMatches[] = {
    {"*", "", true},
    {"*", "anything.at.all", true},
    {"", "", true},
    {"", "a", false},
    {"up_blocks.?", "up_blocks.2", true},
    {"up_blocks.?", "up_blocks.12", false},
    {"up_blocks.[01]", "up_blocks.1", true},
    {"up_blocks.[01]", "up_blocks.2", false},
    {"up_blocks.[!2]", "up_blocks.1", true},
    {"up_blocks.[!2]", "up_blocks.2", false},
    {"transformer_blocks.[0-9]", "transformer_blocks.7", true},
    {"*attn[12]", "transformer_blocks.0.attn2", true},
    {"*up_blocks.2*", "up_blocks.2", true},
    {"*a*b*c", "xaxbxbxc", true},
    {"*a*b*c", "xaxbxbx", false},
    {"[", "[", true},
    {"[abc", "[abc", true},
    {"[]]", "]", true},
    {"[!]]", "a", true},
    {"[a-]", "-", true},
    {"[-a]", "-", true},
    {"a.b", "axb", false},
    {"**", "ab", true},
    {"*a", "aaaa", true},
    {"up_blocks", "up_blocks.2", false},
};

TEST(Fnmatch, MatchesAsPythonDoes) {
    for (const Match& m : kMatches)
        EXPECT_EQ(fnmatch(m.name, m.pattern), m.matches) << m.pattern << " on " << m.name;
}

TEST(Fnmatch, IsNotExponential) {
    const std::string name(2000, 'a');
    EXPECT_FALSE(fnmatch(name, "*a*a*a*a*a*a*a*a*a*a*a*a*b"));
}

TEST(Regex, SearchesAndLooksAhead) {
    EXPECT_TRUE(regex_search("blocks")("up_blocks.2"));
    EXPECT_FALSE(regex_search("^blocks")("up_blocks.2"));
    EXPECT_TRUE(regex_search(R"(transformer_blocks\.(2[1-7])$)")("transformer_blocks.21"));
    EXPECT_FALSE(regex_search(R"(^(?!.*up_blocks\.2).*$)")("up_blocks.2"));
    EXPECT_TRUE(regex_search(R"(^(?!.*up_blocks\.2).*$)")("up_blocks.1"));
}

TEST(Regex, RefusesWhatIsWrongOrTooSlow) {
    EXPECT_THROW(regex_search("(unclosed"), Error);
    const auto slow = regex_search("(a+)+$");
    EXPECT_THROW(slow(std::string(40, 'a') + "!"), Error);
}

TEST(ModuleFilter, TakesPatternsFunctionsAndNegations) {
    const ModuleFilter pattern = "up_blocks.*";
    const ModuleFilter function = [](std::string_view name) {
        return name.find("up_blocks.2") == std::string_view::npos;
    };
    EXPECT_TRUE(pattern.matches("up_blocks.0"));
    EXPECT_FALSE(pattern.matches("mid_block"));
    EXPECT_TRUE(function.matches("mid_block"));
    EXPECT_FALSE(function.matches("up_blocks.2"));
    EXPECT_FALSE(ModuleFilter::negation("up_blocks.*").matches("up_blocks.0"));
    EXPECT_EQ(ModuleFilter::negation("a*").text(), R"({"not":"a*"})");
    EXPECT_EQ(function.text(), "function");
    EXPECT_EQ(ModuleFilter::negation(function).text(), "function");
}

}  // namespace
}  // namespace reprise::cachify
