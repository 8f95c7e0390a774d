#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>
#include <set>

#include "compare/baseline.h"
#include "markup.h"
#include "report/chart.h"
#include "report/heat_map.h"
#include "report/labels.h"
#include "report/marker.h"
#include "report/step_bars.h"
#include "report/svg.h"
#include "reprise/error.h"

namespace reprise::report {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void expect_by_itself(const std::string& drawing) {
    EXPECT_EQ(fault_of_markup(drawing), "");
    EXPECT_THAT(loaded_addresses(drawing), IsEmpty());
    EXPECT_THAT(drawing, testing::StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    EXPECT_THAT(drawing, testing::HasSubstr("prefers-color-scheme: dark"));
}

TEST(Markup, TheCheckerSeesFaults) {
    EXPECT_EQ(fault_of_markup("<a b=\"c\"><d/>&amp;</a>\n"), "");
    for (const char* wrong :
         {"<a><b></a></b>", "<a b=c/>", "<a b=\"c\" b=\"d\"/>", "<a>&</a>", "<a>", "<a/>text"})
        EXPECT_NE(fault_of_markup(wrong), "") << wrong;
    EXPECT_THAT(loaded_addresses("<img src=\"data:image/png;base64,AA\"/><a href=\"#x\"/>"), IsEmpty());
    EXPECT_THAT(loaded_addresses("<img src=\"//x.org/a\"/> url(b.png) @import 'c.css'"),
                ElementsAre("//x.org/a", "b.png", "c.css"));
}

TEST(Svg, NumbersAreShort) {
    EXPECT_EQ(svg::number(3), "3");
    EXPECT_EQ(svg::number(-0.001), "0");
    EXPECT_EQ(svg::number(1.256), "1.26");
    EXPECT_EQ(svg::fitted("a long name", 10, 1000), "a long name");
    const std::string cut = svg::fitted("größe größe größe", 10, 60);
    EXPECT_THAT(cut, testing::EndsWith("…"));
    EXPECT_LE(svg::text_width(cut, 10), 60);
}

HeatMap small_map() {
    return {"Changes of <blocks>",
            "relative change",
            {"down_blocks.0", "mid_block"},
            {{0.5, std::numeric_limits<double>::quiet_NaN(), 0.1}, {0, 0.2, 0.3}}};
}

TEST(HeatMap, EveryValueHasACell) {
    HeatMap map = small_map();
    const std::string drawing = heat_map(map);
    expect_by_itself(drawing);
    EXPECT_EQ(count_of(drawing, "<title>down_blocks.0, step"), 2);  // what is not known is left blank
    EXPECT_EQ(count_of(drawing, "<title>mid_block, step"), 3);
    EXPECT_EQ(count_of(drawing, "class=\"dot\""), 0);
    // the largest value has the end of the scale, zero its beginning
    EXPECT_THAT(drawing, testing::ContainsRegex("fill=\"#fee838\"><title>down_blocks.0, step 0: 0.500"));
    EXPECT_THAT(drawing, testing::ContainsRegex("fill=\"#00224e\"><title>mid_block, step 0: 0.000"));
    map.marked = {{true, false, false}, {false, false, true}};
    map.mark_meaning = "reused";
    EXPECT_EQ(count_of(heat_map(map), "class=\"dot\""), 3);  // one is in the legend
}

TEST(HeatMap, RowsMustAgree) {
    HeatMap map = small_map();
    map.values[1].pop_back();
    EXPECT_THROW(heat_map(map), Error);
    map = small_map();
    map.names.pop_back();
    EXPECT_THROW(heat_map(map), Error);
    EXPECT_EQ(fault_of_markup(heat_map({"nothing", "change", {}, {}})), "");
}

TEST(Labels, DoNotOverlapInACrowd) {
    std::vector<Label> labels;
    std::vector<svg::Point> curve;
    for (int i = 0; i < 12; ++i) {
        labels.push_back(
            {"policy:interval=" + std::to_string(i), {300 + 7.0 * i, 200 + 3.0 * (i % 4)}, 12, 10});
        curve.push_back({40.0 * i, 210});
    }
    const svg::Box area{0, 0, 600, 400};
    const auto placed = place_labels(labels, area, curve);
    ASSERT_EQ(placed.size(), labels.size());
    for (std::size_t i = 0; i < placed.size(); ++i) {
        const svg::Box& box = placed[i].box;
        EXPECT_NEAR(box.overlap(area), box.width * box.height, 1e-6) << "outside: " << labels[i].text;
        for (std::size_t j = 0; j < placed.size(); ++j) {
            if (j != i) {
                EXPECT_EQ(box.overlap(placed[j].box), 0) << i << " and " << j;
            }
            EXPECT_EQ(box.overlap({labels[j].at.x - 4, labels[j].at.y - 4, 8, 8}), 0)
                << i << " on point " << j;
        }
    }
}

TEST(Chart, NamesEveryPointOfferedAndLeavesOutWhatIsEqual) {
    SpeedChart chart;
    chart.title = "Speed & distance";
    chart.value_axis = "PSNR (dB)";
    for (int i = 0; i < 10; ++i) {
        const std::string name = "policy" + std::to_string(i);
        chart.points.push_back({name, 1.1 + 0.2 * i, 1.0 + 0.2 * i, 1.2 + 0.2 * i, 40.0 - i, 0.5});
    }
    chart.points.push_back({"the same", 1.0, 1.0, 1.0, std::numeric_limits<double>::infinity(), 0});
    chart.curve = {{"12 steps", 1.6, 1.6, 1.6, 35, 0}, {"8 steps", 2.5, 2.5, 2.5, 30, 0}};
    for (const double width : {380.0, 880.0}) {
        const std::string drawing = speed_chart(chart, width, true);
        expect_by_itself(drawing);
        for (std::size_t i = 0; i < 10; ++i)
            EXPECT_EQ(count_of(drawing, ">" + chart.points[i].label + "</text>"), 1) << drawing;
        EXPECT_EQ(count_of(drawing, ">the same</text>"), 0);
        EXPECT_EQ(count_of(drawing, ">12 steps</text>"), 1);
        EXPECT_EQ(count_of(drawing, "class=\"hollow\""), 2);
        EXPECT_EQ(count_of(drawing, "nan"), 0);
        EXPECT_EQ(count_of(drawing, "inf"), 0);
    }
}

TEST(Chart, StandsWithoutPoints) {
    EXPECT_EQ(fault_of_markup(speed_chart(SpeedChart{}, 400, true)), "");
}

TEST(Chart, NeighboursDifferInShapeAndColour) {
    std::set<std::string> shapes;
    for (std::size_t n = 0; n < 8; ++n) shapes.insert(marker(n, 0, 0, 6, "class=\"c0\""));
    EXPECT_EQ(shapes.size(), 8U);
    // a colour of its own for each, on white and on black, and the same for its whisker
    const std::string style = svg::colour_style();
    const auto dark_begins = style.find("prefers-color-scheme: dark");
    ASSERT_NE(dark_begins, style.npos);
    for (const std::string& scheme : {style.substr(0, dark_begins), style.substr(dark_begins)}) {
        std::set<std::string> colours;
        for (int n = 0; n < svg::kColours; ++n) {
            std::smatch fill, stroke;
            ASSERT_TRUE(std::regex_search(
                scheme, fill, std::regex(fmt::format("\\.c{} \\{{ fill: (#[0-9a-f]{{6}}); \\}}", n))));
            ASSERT_TRUE(std::regex_search(
                scheme, stroke, std::regex(fmt::format("\\.s{} \\{{ stroke: (#[0-9a-f]{{6}}); \\}}", n))));
            EXPECT_EQ(fill[1], stroke[1]) << n;
            colours.insert(fill[1]);
        }
        EXPECT_EQ(colours.size(), 8U);
    }
    // in a chart, neighbours have them in turn
    SpeedChart chart;
    for (int i = 0; i < 8; ++i)
        chart.points.push_back(
            {"p" + std::to_string(i), 1.1 + 0.2 * i, 1.0 + 0.2 * i, 1.2 + 0.2 * i, 40.0 - i, 1});
    const std::string drawing = speed_chart(chart, 880, true);
    for (int i = 0; i < 8; ++i) {
        EXPECT_EQ(count_of(drawing, fmt::format("class=\"c{}\" font-weight", i)), 1) << i;  // its name
        EXPECT_EQ(count_of(drawing, fmt::format("class=\"c{}\"", i)), 2) << i;              // and its point
        EXPECT_GE(count_of(drawing, fmt::format("class=\"whisker s{}\"", i)), 1) << i;
    }
}

TEST(StepBars, ReusedStepsAreHollow) {
    const std::string drawing =
        step_bars({"default", 0, {{0.2, 1, false, ""}, {0.1, 0.25, true, "mid_block"}}}, true);
    expect_by_itself(drawing);
    EXPECT_EQ(count_of(drawing, "class=\"part\""), 2);  // its time, and the work it saved
    EXPECT_EQ(count_of(drawing, "reused: mid_block"), 3);
    EXPECT_THAT(drawing, testing::HasSubstr("step 1: 100 ms, 25 % of a full step computed"));
}

double same(int steps) {
    return steps;
}

TEST(Baseline, HasACountOfEqualTimeForEachWayAndOneFaster) {
    const auto baseline = choose_baseline(20, {0.55, 0.31}, same);
    EXPECT_THAT(baseline.equal, ElementsAre(11, 7));  // the fewest steps that take no less time
    EXPECT_THAT(baseline.counts, testing::IsSupersetOf({6, 7, 11}));
    for (std::size_t i = 1; i < baseline.counts.size(); ++i)
        EXPECT_LE(1.0 * baseline.counts[i] / baseline.counts[i - 1], 1.45);
    EXPECT_GE(1.45 * baseline.counts.back(), 20);
}

TEST(Baseline, OfAWayThatSavesNothingIsTheFullRun) {
    const auto baseline = choose_baseline(4, {1.3}, same);
    EXPECT_THAT(baseline.equal, ElementsAre(4));
    EXPECT_THAT(baseline.counts, IsEmpty());
    EXPECT_THAT(choose_baseline(1, {0.5}, same).counts, IsEmpty());
    const auto little = choose_baseline(4, {0.9}, same);  // a little: one step less is the nearest there is
    EXPECT_THAT(little.equal, ElementsAre(4));
    EXPECT_EQ(little.counts.back(), 3);
}

TEST(Baseline, CountsEvaluationsOfHeun) {
    const auto heun = [](int steps) { return 2.0 * steps - 1; };
    EXPECT_THAT(choose_baseline(10, {0.5}, heun).equal, ElementsAre(6));  // 11 of 19, where 5 have 9
}

}  // namespace
}  // namespace reprise::report
