// Decisions while running, on changes made up so that the outcome can be worked out by hand.
#include "cachify/decider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>

#include "backends/host_queue.h"
#include "cachify/step_mask.h"
#include "cachify/support.h"
#include "reprise/error.h"

namespace reprise::cachify {
namespace {

using reprise::testing::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

backends::Value of(float value) {
    return backends::Value(Tensor::from({1, 2}, std::vector<float>{value, value}));
}

/// A decider that looks at tensors in host memory.
struct OnHost {
    Decider decider;
    std::unique_ptr<backends::Queue> queue = backends::host_queue(1);
    ValueMeasure seen{*queue};

    bool reuses(int step, bool allowed, float probe, float sample = 0, std::size_t branch = 0) {
        seen.show(Seen::probe, of(probe));
        seen.show(Seen::sample, of(sample));
        return decider.reuses(step, allowed, seen, branch);
    }
    void gave(float prediction) {
        seen.show(Seen::prediction, of(prediction));
        decider.gave(seen);
    }
};

/// The steps that are reused when the probe is these values in turn.
std::vector<int> reused_of(const Decision& decision, const std::vector<float>& probes) {
    OnHost run{{decision, static_cast<int>(probes.size()), 0}};
    for (std::size_t s = 0; s < probes.size(); ++s) run.reuses(static_cast<int>(s), s > 0, probes[s]);
    return run.decider.reused();
}

TEST(Decider, AResidualIsComparedWithThatOfTheLastFullStep) {
    Decision decision;
    decision.threshold = 0.1;
    // 1.08 and 1.09 are within 10 % of 1; 1.2 is not, and 1.3 is within 10 % of 1.2.
    EXPECT_THAT(reused_of(decision, {1, 1.08F, 1.09F, 1.2F, 1.3F}), ElementsAre(1, 2, 4));
}

TEST(Decider, NothingIsReusedAtAThresholdOfZero) {
    Decision decision;
    decision.threshold = 0;
    EXPECT_THAT(reused_of(decision, {1, 1, 1, 1}), IsEmpty());
}

TEST(Decider, ChangesThroughAPolynomialAddUpUntilAFullStep) {
    Decision decision;
    decision.probe = Decision::Probe::modulated;
    decision.accumulate = true;
    decision.polynomial = {2, 0};  // twice the change
    decision.threshold = 0.5;
    // From each step to the next 10 %: 0.2, 0.4, then 0.6 is too much; from the full step on again.
    EXPECT_THAT(reused_of(decision, {1, 1.1F, 1.21F, 1.331F, 1.4641F, 1.61051F, 1.771561F}),
                ElementsAre(1, 2, 4, 5));
}

TEST(Decider, ATableOfMagnitudesAsInMagCache) {
    Decision decision;
    decision.probe = Decision::Probe::table;
    decision.accumulate = true;
    decision.threshold = 0.06;
    decision.most_in_a_row = 3;
    decision.table = {1, 0.99, 0.98, 0.97, 0.99, 0.995, 0.995, 0.995};
    // 1 - 0.99 = 0.01; then |1 - 0.9702| more is 0.0398; then |1 - 0.9411| more is 0.0987: too much at
    // step 3. After it 0.01 (step 4), 0.0250 (5), 0.0448 (6); a fourth in a row is not allowed.
    EXPECT_THAT(reused_of(decision, std::vector<float>(8, 1)), ElementsAre(1, 2, 4, 5, 6));
    // Stretched to half as many steps by the nearest entry: of 1, 0.98, 0.995, 0.995.
    EXPECT_THAT(reused_of(decision, std::vector<float>(4, 1)), ElementsAre(1, 2));
}

TEST(Decider, Limits) {
    Decision decision;
    decision.threshold = 1;
    decision.warm_up = 2;
    decision.cool_down = 1;
    decision.most_in_a_row = 2;
    EXPECT_THAT(reused_of(decision, std::vector<float>(9, 1)), ElementsAre(2, 3, 5, 6));
    decision.most_in_all = 3;
    EXPECT_THAT(reused_of(decision, std::vector<float>(9, 1)), ElementsAre(2, 3, 5));
}

TEST(Decider, WhatIsNoNumberRuns) {
    Decision decision;
    decision.threshold = 10;
    EXPECT_THAT(reused_of(decision, {0, 1, NAN, 1, 1}), ElementsAre(4));
}

TEST(Decider, LatentsAreWeighedByHowTheOutputFollowed) {
    Decision decision;
    decision.probe = Decision::Probe::latents;
    decision.accumulate = true;
    decision.threshold = 0.25;
    OnHost run{{decision, 6, 0}};
    std::vector<bool> reused;
    // The output moves by 0.1 when the input moves by 0.2: a rate of a half.
    const float samples[] = {1, 1.2F, 1.4F, 1.6F, 1.8F, 2};
    const float outputs[] = {1, 1.1F, 0, 0, 1.4F, 0};
    for (int s = 0; s < 6; ++s) {
        reused.push_back(run.reuses(s, s > 0, 0, samples[s]));
        run.gave(outputs[s]);
    }
    // Expected changes of 0.1 of a magnitude of 1.1: 0.0909, 0.1818, then 0.2727 is too much.
    EXPECT_THAT(reused, ElementsAre(false, false, true, true, false, true));
}

// stable-diffusion.cpp/src/runtime/ucache.hpp: inputs move by 1 a step, outputs by 0.1.
TEST(Decider, LatentsOfAUNetAreWeighedSinceTheLastFullStep) {
    Decision decision;
    decision.probe = Decision::Probe::latents_unet;
    decision.accumulate = true;
    decision.threshold = 1;
    const auto reused = [&](int num_steps) {
        OnHost run{{decision, num_steps, 0}};
        for (int s = 0; s < 10; ++s) {
            const auto x = static_cast<float>(s);
            run.reuses(s, s > 0, 0, x);
            run.gave(10 + 0.1F * x);
        }
        return run.decider.reused();
    };
    // Step 0 is outside of the window, 1 and 2 give the rate of 0.1 and a scale of sqrt(10.2 * 1.6 * 0.1) =
    // 1.277. Then 0.1, 0.2 * 1.5 and 0.3 * 2 over it add up to 0.783; with 0.4 * 2.5 it is too much at step
    // 6, after which the scale is sqrt(10.6 * 1.6 * 0.16) and the same add up to 0.607.
    EXPECT_THAT(reused(10), ElementsAre(3, 4, 5, 7, 8, 9));
    // Before a fifth of the steps has run in full, half as much is allowed.
    EXPECT_EQ(reused(20)[2], 6);
}

TEST(Decider, HalvesOfGuidanceAreComparedWithThemselves) {
    Decision decision;
    decision.threshold = 0.1;
    OnHost run{{decision, 5, 0}};
    EXPECT_FALSE(run.reuses(0, false, 1, 0, 0));
    EXPECT_FALSE(run.reuses(1, true, 9, 0, 1));  // never seen
    EXPECT_TRUE(run.reuses(2, true, 1, 0, 0));
    EXPECT_TRUE(run.reuses(3, true, 9, 0, 1));
    EXPECT_FALSE(run.reuses(4, true, 1.2F, 0, 0));
}

/// Values that stay where they are, of which a decision gets numbers: each element is the same.
class Elsewhere final : public Measure {
  public:
    void show(Seen what, double value) { values_[what] = value; }
    double difference(Seen a, Seen b) const override { return std::abs(values_.at(a) - values_.at(b)); }
    double magnitude(Seen a) const override { return std::abs(values_.at(a)); }
    void remember(Seen what, Seen as) override { values_[as] = values_.at(what); }

  private:
    std::map<Seen, double> values_;
};

TEST(Decider, DecidesByNumbersWhereverTheValuesAre) {
    for (const auto probe : {Decision::Probe::residual, Decision::Probe::modulated, Decision::Probe::latents,
                             Decision::Probe::latents_unet}) {
        Decision decision;
        decision.probe = probe;
        decision.threshold = 0.3;
        decision.accumulate = probe != Decision::Probe::residual;
        decision.cool_down = 1;
        OnHost here{{decision, 20, 0}};
        Decider there(decision, 20, 0);
        Elsewhere seen;
        for (int s = 0; s < 20; ++s) {
            const auto x = static_cast<float>(s);
            const float shown = 1 + 0.125F * x, gave = 4 + 0.25F * x;
            const std::size_t branch = s % 3 == 2 ? 1 : 0;
            seen.show(Seen::probe, shown);
            seen.show(Seen::sample, x);
            EXPECT_EQ(there.reuses(s, s > 0, seen, branch), here.reuses(s, s > 0, shown, x, branch)) << s;
            seen.show(Seen::prediction, gave);
            there.gave(seen);
            here.gave(gave);
        }
        EXPECT_FALSE(there.reused().empty());
        EXPECT_EQ(there.reused(), here.decider.reused());
    }
}

TEST(Decider, ARecordIsFollowed) {
    Decision decision;
    decision.replay = {{2, 3}, {1}};
    OnHost second{{decision, 5, 1}};
    for (int s = 0; s < 5; ++s) EXPECT_EQ(second.reuses(s, s > 0, 1), s == 1);
    EXPECT_THAT(error_of([&] { const Decider third(decision, 5, 2); }), HasSubstr("of 2 pictures"));
}

TEST(StepMask, CacheDitsBins) {
    const auto steps = [](std::string_view name, int num_steps) {
        std::vector<int> full;
        const auto mask = step_mask(name, num_steps);
        for (int s = 0; s < num_steps; ++s)
            if (!mask[static_cast<std::size_t>(s)]) full.push_back(s);
        return full;
    };
    EXPECT_THAT(steps("slow", 28),
                ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 14, 15, 16, 19, 20, 23, 27));
    EXPECT_THAT(steps("ultra", 28), ElementsAre(0, 1, 2, 3, 6, 12, 19, 27));
    EXPECT_THAT(steps("ultra", 14), ElementsAre(0, 1, 3, 6, 10, 13));
    EXPECT_THROW(step_mask("slower", 28), Error);
}

}  // namespace
}  // namespace reprise::cachify
