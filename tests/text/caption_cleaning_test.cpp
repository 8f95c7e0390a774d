// What tests/parity/captions.py got from diffusers with BeautifulSoup and ftfy.
#include "text/caption_cleaning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "files/json.h"
#include "reprise/error.h"
#include "text/html_text.h"

namespace reprise {
namespace {

TEST(CaptionCleaning, IsThatOfDiffusers) {
    const auto captions = load_json(std::string(REPRISE_FIXTURES) + "/text/captions.json");
    ASSERT_GT(captions.size(), 400U);
    for (const auto& entry : captions) {
        const auto caption = entry[0].get<std::string>();
        EXPECT_EQ(clean_caption(caption), entry[1].get<std::string>()) << caption;
        EXPECT_EQ(lower_caption(caption), entry[2].get<std::string>()) << caption;
    }
}

TEST(CaptionCleaning, TakesAnyBytesUpToALimit) {
    EXPECT_EQ(clean_caption("a\xff"), "a\ufffd");
    try {
        clean_caption(std::string(20000, 'a'));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("20000"));
    }
}

TEST(HtmlText, UnescapesAsPythonDoes) {
    EXPECT_EQ(html_unescaped("&lt;&amp &notit; &#x26;&#38 &nope; &eacute"), "<& \u00acit; && &nope; \u00e9");
    EXPECT_EQ(html_unescaped("&#1;&#128;&#0;&#xd800;"), "\u20ac\ufffd\ufffd");
}

}  // namespace
}  // namespace reprise
