#include "report/comparison.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "markup.h"
#include "report/chart.h"
#include "report/comparison_page.h"
#include "report/spread.h"

namespace reprise::report {
namespace {

using testing::HasSubstr;

TEST(Spread, IsMedianAndEnds) {
    const Spread spread = spread_of({3, 1, 2, 10});
    EXPECT_EQ(spread.median, 2.5);
    EXPECT_EQ(spread.low, 1);
    EXPECT_EQ(spread.high, 10);
    EXPECT_EQ(spread_of({}).high, 0);
}

TEST(Mean, HasAStandardError) {
    const Mean mean = mean_of({1, 2, 3, 6});
    EXPECT_EQ(mean.mean, 3);
    EXPECT_NEAR(mean.error, std::sqrt(14.0 / 3 / 4), 1e-12);
    EXPECT_EQ(mean_of({5}).error, 0);
    EXPECT_EQ(mean_of({}).high, 0);
}

Image plain(std::uint8_t value) {
    return {16, 16, std::vector<std::uint8_t>(16 * 16 * 3, value)};
}

/// A way whose pictures of two pairs have these values, and whose calls take so long.
Way way_of(Way::Kind kind, const std::string& name, std::vector<std::uint8_t> values, double seconds,
           std::size_t frames = 1) {
    Way way;
    way.kind = kind;
    way.name = name;
    way.num_steps = 2;
    way.calls_pictures = 2;
    for (const auto value : values)
        way.made.push_back({std::vector<Image>(frames, plain(value)),
                            Tensor::from({static_cast<std::int64_t>(frames), 1},
                                         std::vector<float>(frames, static_cast<float>(value)))});
    for (const double factor : {1.0, 1.25, 1.0}) {  // the machine is slower for a while
        Turn turn;
        turn.report.steps = {{0, 2, 0.2, false, 1}, {1, 2, 0.1, true, 0.1}};
        turn.report.denoise_seconds = seconds * factor;
        turn.report.decode_seconds = 0.5;
        turn.full_seconds = 4 * factor;
        way.turns.push_back(turn);
    }
    return way;
}

Comparison example(std::size_t frames = 1) {
    Comparison comparison;
    comparison.title = "a & b";
    comparison.pairs = {{"a & b", 7, 0}, {"<c>", 8, 0}};
    comparison.full = way_of(Way::Kind::full, "full", {100, 50}, 4, frames);
    comparison.cached = {way_of(Way::Kind::cached, "t-gate:gate=5", {100, 50}, 2, frames),
                         way_of(Way::Kind::cached, "far+off", {110, 50}, 1, frames)};
    comparison.fewer = {way_of(Way::Kind::fewer, "5 steps", {120, 60}, 0.8, frames),
                        way_of(Way::Kind::fewer, "9 steps", {105, 52}, 1.2, frames)};
    comparison.fewer[0].num_steps = 5;
    comparison.fewer[1].num_steps = 9;
    comparison.cached[1].equal_steps = 9;
    comparison.measure();
    return comparison;
}

TEST(Comparison, DistancesAreFromTheFullWay) {
    const Comparison comparison = example();
    const Distances& same = comparison.cached[0].distances;
    EXPECT_TRUE(std::isinf(same.mean_psnr().mean));
    const Distances& off = comparison.cached[1].distances;
    EXPECT_NEAR(off.psnr[0], 20 * std::log10(255.0 / 10), 1e-9);
    EXPECT_TRUE(std::isinf(off.psnr[1]));
    // in a mean, an equal picture counts as one with a single value off by one
    const double most = 10 * std::log10(255.0 * 255 * 16 * 16 * 3);
    EXPECT_NEAR(off.mean_psnr().mean, (off.psnr[0] + most) / 2, 1e-9);
    EXPECT_NEAR(off.latent_error[0], 0.1, 1e-6);
}

TEST(Comparison, SpeedIsByTheFullRunBeside) {
    const Comparison comparison = example();
    EXPECT_DOUBLE_EQ(comparison.cached[0].speedup().low, 2);
    EXPECT_DOUBLE_EQ(comparison.cached[0].speedup().high, 2);  // though its times differ
    EXPECT_DOUBLE_EQ(comparison.cached[0].denoise().median, 1);
    EXPECT_DOUBLE_EQ(comparison.cached[0].denoise().high, 1.25);
    EXPECT_DOUBLE_EQ(comparison.cached[0].end_to_end().low, 1.25);
}

TEST(Comparison, TakesCpuTimeWhereOthersUseTheCpus) {
    Comparison comparison = example();
    const auto set = [](Way& way, double wall, double cpu, double waited, double full_wall, double full_cpu) {
        for (Turn& turn : way.turns) {
            turn.report.denoise_seconds = wall;
            turn.report.denoise_cpu_seconds = cpu;
            turn.report.denoise_waited_seconds = waited;
            turn.full_seconds = full_wall;
            turn.full_cpu_seconds = full_cpu;
        }
    };
    // By the clock 10 of the steps seem faster than the way that computes half: another program ran
    // meanwhile.
    set(comparison.full, 4, 8, 0, 4, 8);
    for (Way& way : comparison.cached) set(way, 4, 4, 0, 4, 8);
    for (Way& way : comparison.fewer) set(way, 1, 6, 0, 4, 8);
    comparison.choose_clock();
    EXPECT_EQ(comparison.clock(), Clock::wall);
    EXPECT_DOUBLE_EQ(comparison.cached[0].speedup().median, 1);
    EXPECT_EQ(to_text(comparison).find("CPU"), std::string::npos);

    for (Way& way : comparison.cached) set(way, 4, 4, 4, 4, 8);
    comparison.choose_clock();
    EXPECT_EQ(comparison.clock(), Clock::cpu);
    EXPECT_DOUBLE_EQ(comparison.cached[0].speedup().median, 2);
    EXPECT_DOUBLE_EQ(comparison.cached[0].relative_time().mean, 0.5);
    EXPECT_DOUBLE_EQ(comparison.fewer[0].denoise().median, 3);  // a picture
    EXPECT_THAT(to_text(comparison), HasSubstr("CPU time"));
    EXPECT_THAT(to_html(comparison, 1), HasSubstr("CPU time"));
    EXPECT_EQ(to_json(comparison)["clock"], "cpu");
    EXPECT_GT(to_json(comparison)["waited_share"], 0.1);
}

TEST(Comparison, FewerStepsAtEqualTimeLieBetweenTwoCounts) {
    const Comparison comparison = example();
    const auto beside = comparison.fewer_at_time_of(comparison.cached[1]);
    ASSERT_TRUE(beside);
    const auto psnr = [&](std::size_t i) { return comparison.fewer[i].distances.mean_psnr().mean; };
    EXPECT_NEAR(beside->psnr, (psnr(0) + psnr(1)) / 2, 1e-9);
    const auto gain = [&](std::size_t pair) {
        const auto of = [&](const Way& way) { return way.distances.limited_psnr(pair); };
        return of(comparison.cached[1]) - (of(comparison.fewer[0]) + of(comparison.fewer[1])) / 2;
    };
    EXPECT_NEAR(beside->psnr_gain.low, std::min(gain(0), gain(1)), 1e-9);
    EXPECT_NEAR(beside->psnr_gain.high, std::max(gain(0), gain(1)), 1e-9);
    EXPECT_FALSE(comparison.fewer_at_time_of(comparison.cached[0]));  // slower than all of them
    EXPECT_FALSE(comparison.fewer_at_time_of(comparison.fewer[0]));
}

TEST(Comparison, AClockThatVariesMakesAGainLessCertain) {
    const auto error_with = [](double second_time) {
        Comparison comparison = example();
        comparison.cached[1].turns[1].report.denoise_seconds *= second_time;
        return comparison.fewer_at_time_of(comparison.cached[1])->psnr_gain.error;
    };
    const double steady = error_with(1);  // of the pairs alone
    EXPECT_GT(steady, 0);
    // relative times 0.25, 0.5, 0.25 between 0.2 and 0.3 of fewer steps
    const Comparison comparison = example();
    const auto psnr = [&](std::size_t i) { return comparison.fewer[i].distances.mean_psnr().mean; };
    const double slope = (psnr(1) - psnr(0)) / 0.1;
    const double clock = 1.2533 * 0.25 / 3;
    EXPECT_GT(std::abs(slope * clock), steady / 4);
    EXPECT_NEAR(error_with(2), std::hypot(steady, slope * clock), 1e-9);
}

TEST(Comparison, TablesHaveALineForEachWay) {
    Comparison comparison = example();
    const auto json = to_json(comparison);
    ASSERT_EQ(json["ways"].size(), 5U);
    EXPECT_EQ(json["ways"][1]["name"], "t-gate:gate=5");
    EXPECT_TRUE(json["ways"][1]["psnr_db"]["mean"].is_null());
    EXPECT_EQ(json["ways"][2]["equal_time_steps"], 9);
    EXPECT_EQ(json["ways"][2]["denoise_seconds"]["median"], 0.5);
    EXPECT_EQ(json["ways"][2]["per_step"][1]["variant"], "reused");
    const std::string text = to_text(comparison);
    for (const Way* way :
         {&comparison.cached[0], &comparison.cached[1], &comparison.fewer[0], &comparison.fewer[1]})
        EXPECT_EQ(count_of(text, "\n" + way->name + " "), 1) << text;
    EXPECT_THAT(text, testing::ContainsRegex("\nt-gate:gate=5 [^\n]* equal"));
    EXPECT_EQ(count_of(to_csv(comparison), "\r\n"), 6);
    EXPECT_THAT(to_csv(comparison), HasSubstr("t-gate:gate=5,cached,2,2,3,1,1,1.25,2,2,2,inf"));
    EXPECT_EQ(count_of(to_csv(comparison), "top"), 0);
    comparison.score_title = "top, 1";
    comparison.cached[0].score = 0.25;
    EXPECT_THAT(to_csv(comparison), HasSubstr("\"top, 1\"\r\n"));
    EXPECT_THAT(to_csv(comparison), HasSubstr(",0.25\r\n"));
    comparison.cached[0].score = 0.123456;
    EXPECT_THAT(to_csv(comparison), HasSubstr(",0.123456\r\n"));
    EXPECT_THAT(to_html(comparison, 1), HasSubstr("<th scope=\"col\">top, 1</th>"));
}

TEST(Comparison, FileNamesArePlainAndDiffer) {
    Comparison comparison = example();
    comparison.cached[1].name = "t-gate gate 5";
    const auto names = file_names(comparison);
    EXPECT_EQ(names.at(&comparison.cached[0]), "t-gate-gate-5");
    EXPECT_EQ(names.at(&comparison.cached[1]), "t-gate-gate-5-2");
    EXPECT_EQ(names.at(&comparison.fewer[0]), "5-steps");
}

TEST(Comparison, TheSheetHasAColumnForEachWayThatIsShown) {
    const Comparison comparison = example();  // 5 steps are beside nobody
    const Image sheet = contact_sheet(comparison, 10);
    EXPECT_EQ(sheet.width(), 4 * 16 + 3 * 8);
    EXPECT_EQ(sheet.height(), 2 * 16 + 8);
}

/// A comparison of so many pairs in three ways, whose pictures have this size.
Comparison of_size(std::size_t pairs, int width, int height) {
    const Image picture(width, height);
    Comparison comparison;
    comparison.pairs.resize(pairs);
    comparison.cached.resize(2);
    for (Way* way : {&comparison.full, &comparison.cached[0], &comparison.cached[1]})
        way->made.assign(pairs, Made{{picture}, {}});
    return comparison;
}

TEST(Comparison, ASheetIsNoLargerThanAPictureMayBe) {
    const Image thin = contact_sheet(of_size(6, 12, 3000), 10);  // 6 * 3000 + 5 * 8 high as they are
    EXPECT_EQ(thin.width(), 3 * 11 + 2 * 8);
    EXPECT_GT(thin.height(), 16000);
    EXPECT_LE(thin.height(), Image::kMaxSide);
    const Image large = contact_sheet(of_size(5, 1600, 1600), 10);
    EXPECT_LT(large.width(), 3 * 1600);
    EXPECT_GT(large.width() * large.height(), 33'000'000);
    EXPECT_LE(large.width() * large.height(), 1 << 25);
    const Image many = contact_sheet(of_size(300, 80, 80), 1000);
    EXPECT_EQ(many.width(), 3 * 64 + 2 * 8);
    EXPECT_EQ(many.height(), 227 * 64 + 226 * 8);
}

TEST(SpeedChart, WhatIsEqualStandsAboveTheOthers) {
    SpeedChart chart;
    chart.points = {{"same", 2, 2, 2, std::numeric_limits<double>::infinity(), 0}, {"near", 2, 2, 2, 30, 1}};
    chart.curve = {{"<5>", 1.5, 1.5, 1.5, 20, 0}, {"lost", 3, 3, 3, std::nan(""), 0}};
    const std::string drawing = speed_chart(chart, 880, false);
    EXPECT_EQ(fault_of_markup(drawing), "");
    EXPECT_THAT(drawing, HasSubstr(">same, equal</text>"));
    EXPECT_THAT(drawing, HasSubstr("same: 2.00 times as fast, equal."));
    EXPECT_THAT(drawing, HasSubstr(">30.0</text>"));
    EXPECT_THAT(drawing, testing::Not(HasSubstr(">32.5</text>")));  // no mark as high as what is equal
    EXPECT_THAT(drawing, testing::Not(HasSubstr("lost")));
    chart.points.resize(1);
    chart.curve.clear();
    const std::string alone = speed_chart(chart, 880, false);
    EXPECT_THAT(alone, HasSubstr(">same, equal</text>"));
    EXPECT_THAT(alone, testing::Not(HasSubstr(">1.0</text>")));  // nothing has a value
}

TEST(SpeedChart, LittleDistancesLookLittle) {
    SpeedChart chart;
    chart.more_is_better = false;
    chart.percent = true;
    chart.least_range = 0.02;
    chart.points = {{"near", 2, 2, 2, 1e-6, 0}};
    const std::string drawing = speed_chart(chart, 880, false);
    EXPECT_EQ(count_of(drawing, ">0.0</text>"), 1);
    EXPECT_EQ(count_of(drawing, ">2.0</text>"), 1);
}

TEST(ComparisonPage, IsWellFormedAndByItself) {
    const std::string html = to_html(example(), 10);
    const auto script = html.find("<script>");
    ASSERT_NE(script, html.npos);
    EXPECT_EQ(fault_of_markup(html), "");
    EXPECT_THAT(loaded_addresses(html), testing::IsEmpty());
    EXPECT_THAT(html, HasSubstr("<title>a &amp; b</title>"));
    EXPECT_THAT(html, HasSubstr("&lt;c&gt;"));
    for (const char* name : {"t-gate:gate=5", "far+off", "9 steps"}) {
        EXPECT_EQ(count_of(html, fmt::format("alt=\"{}: ", name)), 2) << name;  // for each pair
        EXPECT_GE(count_of(html, name), 4) << name;
    }
    EXPECT_EQ(count_of(html, "<figure "), 2 * 4);
    EXPECT_EQ(count_of(html, "src=\"data:image/png;base64,"), 2 * 4);
    EXPECT_EQ(count_of(html, "<svg xmlns"), 6 + 3);  // three charts in two widths; steps of full and cached
}

TEST(ComparisonPage, ShowsTheFirstPairsOnly) {
    const std::string html = to_html(example(), 1);
    EXPECT_EQ(count_of(html, "<figure "), 4);
    EXPECT_THAT(html, HasSubstr("1 of 2 pairs"));
}

TEST(ComparisonPage, FramesOfAVideoAreOneStrip) {
    const std::string html = to_html(example(3), 1);
    EXPECT_EQ(fault_of_markup(html), "");
    EXPECT_EQ(count_of(html, "<img width=\"48\" height=\"16\""), 4);
    EXPECT_EQ(count_of(html, "--frames: 3"), 4);
    EXPECT_THAT(html, HasSubstr("id=\"play\""));
}

}  // namespace
}  // namespace reprise::report
