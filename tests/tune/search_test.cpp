// The search on a model of a denoiser whose best schedules are known.
#include "tune/search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "reprise/error.h"
#include "tune/state.h"

namespace reprise::tune {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A denoiser whose result moves by a vector for each reused step: `bend[step]` times the steps since the
/// last full one times what the mode leaves out, in a direction that turns from step to step.
class Toy : public Runner {
  public:
    std::vector<double> bend = {0, 1, 0.2, 0.9, 0.1, 0.6, 0.7, 0.3};
    std::vector<double> left_out = {0, 1, 0.4};
    int runs = 0;

    std::size_t num_steps() const override { return bend.size(); }
    std::size_t num_pairs() const override { return 2; }
    std::vector<float> deviation(std::size_t pair, const Modes& modes) override {
        ++runs;
        return moved(pair, modes);
    }
    double distance(std::size_t pair, const Modes& modes) override {
        ++runs;
        return length(moved(pair, modes));
    }

    std::vector<float> moved(std::size_t pair, const Modes& modes) const {
        std::vector<float> sum(3, 0);
        int age = 0;
        for (std::size_t step = 0; step < modes.size(); ++step) {
            age = modes[step] == 0 ? 0 : age + 1;
            const double size = bend[step] * age * left_out[static_cast<std::size_t>(modes[step])];
            const double angle = 0.9 * static_cast<double>(step) + 0.3 * static_cast<double>(pair);
            sum[0] += static_cast<float>(size * std::cos(angle));
            sum[1] += static_cast<float>(size * std::sin(angle));
            sum[2] += static_cast<float>(0.1 * size);
        }
        return sum;
    }
    static double length(const std::vector<float>& v) { return std::hypot(v[0], v[1], v[2]); }
    double mean(const Modes& modes) const { return (length(moved(0, modes)) + length(moved(1, modes))) / 2; }
};

Record record_of_toy() {
    Record record;
    record.table = {{"full", "whole", "path"}, {1, 0.05, 0.4}, {}};
    return record;
}

/// The nearest schedule within the cost of all there are; with blocks of one mode only, if so asked.
Modes best_of_all(const Toy& toy, const ModeTable& table, double budget, bool one_mode_blocks, int most) {
    Modes best;
    double least = 1e9;
    Modes modes(toy.num_steps(), 0);
    const auto legal = [&] {
        int age = 0;
        for (std::size_t step = 1; step < modes.size(); ++step) {
            age = modes[step] == 0 ? 0 : age + 1;
            if (age > most) return false;
            if (age > 1 && modes[step] != modes[step - 1]) return false;
        }
        return true;
    };
    while (true) {
        if (table.cost(modes) <= budget * (1 + 1e-9) && (!one_mode_blocks || legal()) &&
            toy.mean(modes) < least) {
            least = toy.mean(modes);
            best = modes;
        }
        std::size_t step = 1;
        while (step < modes.size() && ++modes[step] == static_cast<int>(table.size())) modes[step++] = 0;
        if (step == modes.size()) return best;
    }
}

TEST(Beam, FindsTheBestThatBlocksCanMake) {
    Toy toy;
    for (const double speedup : {1.3, 1.7, 2.2, 3.0}) {
        SCOPED_TRACE(speedup);
        Record record = record_of_toy();
        SearchOptions options;
        options.speedup = speedup;
        options.beam = 10'000;  // keeps everything: exact
        measure_blocks(toy, record, options, {});
        const auto found = best_by_model(record, toy.num_steps(), options);
        ASSERT_FALSE(found.empty());
        const auto expected = best_of_all(toy, record.table, 8 / speedup, true, 4);
        EXPECT_EQ(found.front(), expected);
        EXPECT_NEAR(predicted_distance(record, found.front()), toy.mean(expected), 1e-5);
        options.beam = 24;
        EXPECT_NEAR(toy.mean(best_by_model(record, toy.num_steps(), options).front()), toy.mean(expected),
                    0.05 * toy.mean(expected));
    }
}

TEST(Search, FindsTheBestOfAll) {
    for (const double speedup : {1.5, 2.2}) {
        Toy toy;
        Record record = record_of_toy();
        SearchOptions options;
        options.speedup = speedup;
        options.trials = 5000;  // more than there are
        const Found found = search(toy, record, options, {});
        const auto expected = best_of_all(toy, record.table, 8 / speedup, false, 99);
        EXPECT_NEAR(found.distance, toy.mean(expected), 0.05 * toy.mean(expected));
        EXPECT_LE(found.seconds, 8 / speedup * (1 + 1e-9));
        EXPECT_LE(found.distance, found.by_model);
        EXPECT_EQ(found.modes.front(), 0);
    }
}

TEST(Search, TakesTheWayOfGuidanceThatItsModesAllow) {
    ModeTable table = {{"full", "half", "path"}, {1.2, 0.6, 0.5}, {1.0, -1, 0.3}};
    EXPECT_DOUBLE_EQ(table.cost({0, 2, 0}), 2.3);
    EXPECT_DOUBLE_EQ(table.cost({0, 1, 0}), 3.0);
    EXPECT_DOUBLE_EQ(table.full_cost(4), 4);
}

TEST(Search, ASpeedupOfOneIsTheFullResult) {
    Toy toy;
    Record record = record_of_toy();
    SearchOptions options;
    options.speedup = 1;
    options.trials = 0;
    const Found found = search(toy, record, options, {});
    EXPECT_EQ(found.modes, Modes(8, 0));
    EXPECT_EQ(found.distance, 0);
}

TEST(Search, SaysWhatIsTooFast) {
    Toy toy;
    Record record = record_of_toy();
    SearchOptions options;
    options.speedup = 30;
    try {
        search(toy, record, options, {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(
            error.what(),
            HasSubstr("the fastest, whose steps but the first are all in the cheapest mode, is 5.93"));
    }
}

bool same(const Found& a, const Found& b) {
    return a.modes == b.modes && a.distance == b.distance && a.seconds == b.seconds;
}

TEST(Search, IsTheSameFromTheSameSeed) {
    Toy one, two;
    Record a = record_of_toy(), b = record_of_toy();
    SearchOptions options;
    options.seed = 5;
    const Found found = search(one, a, options, {});
    EXPECT_TRUE(same(search(two, b, options, {}), found));
    EXPECT_EQ(one.runs, two.runs);
    // From what was measured: the same, without a run.
    Toy idle;
    EXPECT_TRUE(same(search(idle, a, options, {}), found));
    EXPECT_EQ(idle.runs, 0);
}

TEST(Search, GoesOnAfterBeingStopped) {
    Toy toy;
    Record whole = record_of_toy();
    const SearchOptions options;
    const Found expected = search(toy, whole, options, {});
    for (const int stop : {3, 40, 60, 150}) {
        SCOPED_TRACE(stop);
        Toy other;
        State state;
        state.run.num_inference_steps = 8;
        state.ladder = "toy";
        state.record = record_of_toy();
        int left = stop;
        EXPECT_THROW(search(other, state.record, options, [&](const Progress&) { return left-- > 0; }),
                     Error);
        State again = parse_state(to_json(state), "state");
        EXPECT_EQ(to_json(again), to_json(state));
        EXPECT_TRUE(same(search(other, again.record, options, {}), expected));
        EXPECT_EQ(other.runs, toy.runs);  // nothing was run twice
    }
}

TEST(Search, GoesOnAfterARunWasStopped) {
    /// Stops within a run, as Ctrl-C does.
    struct Stopped final : Toy {
        int left = 0;
        std::vector<float> deviation(std::size_t pair, const Modes& modes) override {
            if (left-- == 0) throw Error(ErrorKind::cancelled, "stopped");
            return Toy::deviation(pair, modes);
        }
    };
    Toy toy;
    Record whole = record_of_toy();
    const SearchOptions options;
    const Found expected = search(toy, whole, options, {});
    for (const int stop : {0, 1, 2, 31, 100}) {
        SCOPED_TRACE(stop);
        Stopped other;
        other.left = stop;
        State state;
        state.run.num_inference_steps = 8;
        state.record = record_of_toy();
        EXPECT_THROW(search(other, state.record, options, {}), Error);
        State again = parse_state(to_json(state), "state");
        EXPECT_TRUE(same(search(toy, again.record, options, {}), expected));
    }
}

TEST(Search, MeasuredChangesLeadToSomethingNearer) {
    Toy toy;
    toy.bend = {0, 1, 0.2, 0.9, 0.1, 0.6, 0.7, 0.3, 0.8, 0.15, 0.4};
    Record record = record_of_toy();
    SearchOptions options;
    options.speedup = 1.7;
    const Modes base = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0};
    const auto better = best_changes(toy, record, base, 3, options, {});
    ASSERT_FALSE(better.empty());
    std::size_t changed = 0;
    for (std::size_t step = 0; step < base.size(); ++step) changed += better[0][step] != base[step] ? 1 : 0;
    EXPECT_GE(changed, 1U);
    EXPECT_LE(changed, 3U);
    EXPECT_LE(record.table.cost(better[0]), record.table.full_cost(base.size()) / 1.7 * (1 + 1e-9));
    EXPECT_LT(toy.mean(better[0]), toy.mean(base));
    EXPECT_EQ(record.deviations.size(), 21U);  // the base and, at 10 steps, two other modes
}

TEST(State, IsChecked) {
    State state;
    state.run.num_inference_steps = 8;
    state.record = record_of_toy();
    Toy toy;
    SearchOptions options;
    options.trials = 5;
    search(toy, state.record, options, {});
    const std::string json = to_json(state);
    const auto refused = [&](const std::string& was, const std::string& is) {
        std::string changed = json;
        changed.replace(changed.find(was), was.size(), is);
        try {
            parse_state(changed, "s.json");
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_THAT(refused("\"reprise_tuning\": 2", "\"reprise_tuning\": 9"), HasSubstr("version 9"));
    EXPECT_THAT(refused("\"seconds\": [1,", "\"seconds\": ["), HasSubstr("3 modes with 2"));
    EXPECT_THAT(refused("{\"modes\": [0,", "{\"modes\": [5,"), HasSubstr("mode 5"));
    EXPECT_THAT(refused("{\"modes\": [0,", "{\"modes\": ["), HasSubstr("7 steps"));
    EXPECT_THAT(refused("\"by_pair\": [[", "\"by_pair\": [[1,"), HasSubstr("different sizes"));
}

}  // namespace
}  // namespace reprise::tune
