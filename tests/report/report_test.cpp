#include <gtest/gtest.h>

#include <cmath>

#include "report/comparison.h"
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

TEST(Comparison, SpreadIsMedianAndEnds) {
    const Spread spread = spread_of({3, 1, 2, 10});
    EXPECT_EQ(spread.median, 2.5);
    EXPECT_EQ(spread.low, 1);
    EXPECT_EQ(spread.high, 10);
    EXPECT_EQ(spread_of({}).high, 0);
}

Way way_of(std::uint8_t value, float latent) {
    Way way;
    way.num_steps = 2;
    way.images = {Image(16, 16, std::vector<std::uint8_t>(16 * 16 * 3, value))};
    way.latents = Tensor::from({1, 1}, std::vector<float>{latent});
    RunReport run;
    run.steps = {{0, 2, 0.2, false, 1}, {1, 2, 0.1, true, 0.1}};
    run.denoise_seconds = 0.3;
    way.runs = {run};
    return way;
}

TEST(Comparison, DistancesAreFromTheFullWay) {
    Comparison comparison;
    comparison.title = "a & b";
    comparison.captions = {"a & b"};
    comparison.full = way_of(100, 2);
    comparison.reused = way_of(100, 2);
    comparison.fewer = way_of(110, 3);
    comparison.measure();
    EXPECT_TRUE(std::isinf(comparison.reused.distance.psnr));
    EXPECT_NEAR(comparison.fewer.distance.psnr, 20 * std::log10(255.0 / 10), 1e-9);
    EXPECT_NEAR(comparison.fewer.distance.latent_error, 0.5, 1e-6);
    const auto json = to_json(comparison);
    EXPECT_TRUE(json["ways"]["reused"]["psnr_db"].is_null());
    EXPECT_EQ(json["ways"]["fewer"]["denoise_seconds"]["median"], 0.3);
    EXPECT_NE(to_text(comparison).find("equal"), std::string::npos);
    const std::string html = to_html(comparison);
    EXPECT_NE(html.find("<title>a &amp; b</title>"), std::string::npos);
    EXPECT_EQ(html.find("a & b"), std::string::npos);
    EXPECT_EQ(contact_sheet(comparison).width(), 3 * 16 + 2 * 8);
}

}  // namespace
}  // namespace reprise::report
