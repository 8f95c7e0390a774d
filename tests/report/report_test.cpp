#include <gtest/gtest.h>

#include "report/html.h"
#include "report/plan_view.h"
#include "report/text.h"
#include "reprise/error.h"

namespace reprise::report {
namespace {

TEST(Text, NumbersForPeople) {
    EXPECT_EQ(human_bytes(850), "850 B");
    EXPECT_EQ(human_bytes(999.6e3), "1.00 MB");
    EXPECT_EQ(human_bytes(12.34e6), "12.3 MB");
    EXPECT_EQ(human_flops(1.589e12), "1.59 TFLOP");
    EXPECT_EQ(human_count(2567463684.0), "2.57 B");
    EXPECT_EQ(human_seconds(0.00123), "1.23 ms");
    EXPECT_EQ(human_seconds(0.9999), "1.00 s");
    EXPECT_EQ(human_seconds(99.99), "1 min 40 s");
    EXPECT_EQ(human_seconds(7260), "2 h 1 min");
    EXPECT_EQ(percent(0.0513), "5.1 %");
    EXPECT_EQ(percent(0.999), "100 %");
    EXPECT_EQ(percent(0), "0 %");
}

TEST(Text, RangesJoinThreeAndMore) {
    EXPECT_EQ(ranges({}), "");
    EXPECT_EQ(ranges({1, 3, 4, 6, 7, 8, 9}), "1, 3, 4, 6-9");
}

TEST(Text, TablesAlignWhatIsNotAscii) {
    Table table({{"", Table::Align::left}, {"größe", Table::Align::right}});
    table.add({"█░", "1"});
    table.add({"a"});
    EXPECT_EQ(table.text(), "    größe\n█░      1\na\n");
    EXPECT_THROW(table.add({"1", "2", "3"}), Error);
}

TEST(Text, NamesWithANumberAreJoined) {
    EXPECT_EQ(joined_names({"down_blocks.0", "down_blocks.1", "down_blocks.2", "mid_block", "up_blocks.1"}),
              "down_blocks.0-2, mid_block, up_blocks.1");
    EXPECT_EQ(joined_names({"a.0", "b.1", "b.3"}), "a.0, b.1, b.3");
    EXPECT_EQ(joined_names({}), "");
}

TEST(Html, TextIsEscaped) {
    EXPECT_EQ(escaped("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
}

TEST(Html, Base64OfEveryRemainder) {
    const auto encode = [](std::string_view text) { return base64(std::as_bytes(std::span(text))); };
    EXPECT_EQ(encode(""), "");
    EXPECT_EQ(encode("f"), "Zg==");
    EXPECT_EQ(encode("fo"), "Zm8=");
    EXPECT_EQ(encode("foo"), "Zm9v");
    EXPECT_EQ(encode("\xff\xfe\xfd"), "//79");
}

}  // namespace
}  // namespace reprise::report
