// Tuning what is no pipeline of ours: a made-up subject whose costs and errors are known.
#include "tune/subject.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cachify/strange.h"
#include "cachify/support.h"
#include "tune/tuner.h"

namespace reprise::tune {
namespace {

using reprise::testing::error_of;
using ::testing::HasSubstr;

/// What a step in a mode takes, and how far it moves the result.
struct Known {
    double cost = 1, error = 0;
};

/// By what a mode reuses: the whole denoiser costs next to nothing and moves the result most; paths are
/// between that and a full step, dearer or worse by chance.
Known known_of(const cachify::Config& config) {
    if (config.empty()) return {};
    const std::string text = cachify::to_json(config);
    if (text.find("\"denoiser\"") != std::string::npos) return {0.05, 1};
    const std::size_t length = text.size();
    return {0.35 + 0.1 * static_cast<double>(length % 4), 0.25 + 0.1 * static_cast<double>(length / 4 % 4)};
}

class MadeUp final : public Subject {
  public:
    MadeUp() : structure_(cachify::testing::strange_denoiser()) {}

    const std::string& class_name() const override { return name_; }
    const graph::Graph& structure() const override { return structure_; }
    cachify::DenoiserIdentity identity() const override { return {name_, "configuration", "weights"}; }
    cachify::MeasuredRun run() const override {
        return {"EulerDiscreteScheduler", 7, 8, 8, 1, "f32", {"a", "b"}, {0, 1}};
    }
    std::string fingerprint() const override { return "settings"; }
    bool has_guidance() const override { return false; }
    bool may_batch() const override { return false; }
    bool is_small() const override { return true; }
    std::size_t num_steps() const override { return bend_.size(); }
    std::size_t num_pairs() const override { return 2; }

    void use(const std::vector<cachify::Config>& modes, GuidanceMode, std::size_t, Pairs which) override {
        modes_.clear();
        for (const auto& mode : modes) modes_.push_back(known_of(mode));
        ready_ = true;
        which_ = which;
    }
    void release() override { ready_ = false; }

    std::vector<float> deviation(std::size_t pair, const Modes& modes) override {
        EXPECT_TRUE(ready_);
        EXPECT_EQ(pair >= num_pairs(), which_ == Pairs::held_out);
        return moved(pair, modes);
    }
    double distance(std::size_t pair, const Modes& modes) override {
        const auto all = deviation(pair, modes);
        return std::hypot(all[0], all[1], all[2]);
    }
    void seconds(int mode, std::vector<double>& full, std::vector<double>& in_mode) override {
        EXPECT_TRUE(ready_);
        full.push_back(3);
        in_mode.push_back(3 * modes_[static_cast<std::size_t>(mode)].cost);
    }
    Likeness likeness(std::size_t pair, const Modes& modes) override {
        const double far = distance(pair, modes);
        if (pair >= num_pairs()) held_out_.push_back(far);
        return {far, 1 - far, 40};
    }
    double speedup(const cachify::Config&) override { return 1.9; }

    const std::vector<double>& held_out() const { return held_out_; }
    bool ready() const { return ready_; }

    /// The least distance of all schedules that are so much faster.
    double best_of_all(double speedup) {
        which_ = Pairs::tuned;
        ready_ = true;
        double least = HUGE_VAL;
        Modes modes(num_steps(), 0);
        while (true) {
            double cost = 0;
            for (const int mode : modes) cost += modes_[static_cast<std::size_t>(mode)].cost;
            if (cost <= static_cast<double>(num_steps()) / speedup * (1 + 1e-9))
                least = std::min(least, (distance(0, modes) + distance(1, modes)) / 2);
            std::size_t step = 1;
            while (step < modes.size() && ++modes[step] == static_cast<int>(modes_.size())) modes[step++] = 0;
            if (step == modes.size()) return least;
        }
    }

  private:
    /// For each reused step a vector: larger the longer ago the last full step is, in a direction that turns.
    std::vector<float> moved(std::size_t pair, const Modes& modes) const {
        std::vector<float> sum(3, 0);
        int age = 0;
        for (std::size_t step = 0; step < modes.size(); ++step) {
            age = modes[step] == 0 ? 0 : age + 1;
            const double size = 0.1 * bend_[step] * age * modes_[static_cast<std::size_t>(modes[step])].error;
            const double angle = 0.9 * static_cast<double>(step) + 0.3 * static_cast<double>(pair);
            sum[0] += static_cast<float>(size * std::cos(angle));
            sum[1] += static_cast<float>(size * std::sin(angle));
            sum[2] += static_cast<float>(0.1 * size);
        }
        return sum;
    }

    std::string name_ = "MadeUpModel";
    graph::Graph structure_;
    std::vector<double> bend_ = {0, 1, 0.2, 0.9, 0.1, 0.6, 0.7};
    std::vector<Known> modes_;
    bool ready_ = false;
    Pairs which_ = Pairs::tuned;
    std::vector<double> held_out_;
};

TEST(Subject, AMadeUpOneIsTunedToItsKnownBest) {
    for (const double speedup : {1.4, 2.0}) {
        MadeUp subject;
        TuneOptions options;
        options.speedups = {speedup};
        const auto tuned = tune(subject, options);
        ASSERT_EQ(tuned.size(), 1U);
        const auto& figures = tuned[0].evidence.figures;
        EXPECT_NEAR(figures.at("distance"), subject.best_of_all(speedup), 1e-6);
        EXPECT_GE(figures.at("predicted_speedup"), speedup * (1 - 1e-9));
        EXPECT_EQ(figures.at("measured_speedup"), 1.9);
        ASSERT_EQ(subject.held_out().size(), 2U);
        EXPECT_NEAR(figures.at("distance_held_out"), (subject.held_out()[0] + subject.held_out()[1]) / 2,
                    1e-12);
        EXPECT_EQ(tuned[0].evidence.model, subject.identity());
        EXPECT_EQ(tuned[0].evidence.run, subject.run());
        EXPECT_FALSE(tuned[0].config.empty());
    }
}

TEST(Subject, NothingIsHeldAfterwards) {
    MadeUp subject;
    tune(subject, {});
    EXPECT_FALSE(subject.ready());
}

TEST(Subject, AQualityIsReachedOrRefused) {
    MadeUp subject;
    TuneOptions options;
    options.quality.ssim = 0.9;
    EXPECT_GT(tune(subject, options)[0].speedup, 1);
    options.quality.ssim = 0.9999;
    EXPECT_THAT(error_of([&] { tune(subject, options); }), HasSubstr("ask for less"));
}

}  // namespace
}  // namespace reprise::tune
