#include "schedulers/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/fixtures.h"
#include "core/generator.h"
#include "reprise/error.h"
#include "schedulers/registry.h"

namespace reprise {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(ErrorKind kind, const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), kind) << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

std::string refusal(const char* name, const json& config) {
    return error_of(ErrorKind::usage, [&] { make_scheduler(name, config, "s.json"); });
}

std::vector<int> steps_of(const Sampler& sampler) {
    std::vector<int> steps;
    for (const auto& evaluation : sampler.evaluations()) steps.push_back(evaluation.step);
    return steps;
}

/// A whole run from seed 0 with an output that depends on sample and timestep.
Tensor run(const Scheduler& scheduler, int num_steps) {
    const auto sampler = scheduler.start(num_steps);
    Generator generator(0);
    Tensor sample = generator.randn({1, 2, 4, 4});
    for (int e = 0; e < static_cast<int>(sampler->evaluations().size()); ++e) {
        Tensor output = sampler->scale_model_input(sample, e).clone();
        for (auto& x : output.span<float>()) x = std::tanh(x);
        sample = sampler->step(output, e, sample, &generator);
    }
    return sample;
}

TEST(Registry, NamesAreUniqueAndBuild) {
    std::set<std::string_view> names;
    for (const auto& entry : schedulers()) {
        EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
        const auto scheduler = make_scheduler(entry.name, json::object(), "s.json");
        EXPECT_EQ(scheduler->name(), entry.class_name);
        EXPECT_EQ(make_scheduler(entry.class_name, json::object(), "s.json")->name(), entry.class_name);
        EXPECT_EQ(make_scheduler(json{{"_class_name", entry.class_name}}, "s.json")->name(),
                  entry.class_name);
    }
    for (const char* name :
         {"euler", "euler_a", "heun", "ddim", "dpm++2m", "dpm++2m-karras", "pndm", "flow_match_euler"})
        EXPECT_TRUE(names.contains(name)) << name;
}

TEST(Registry, UnknownNamesListTheKnown) {
    EXPECT_THAT(refusal("eulre", json::object()),
                AllOf(HasSubstr("s.json"), HasSubstr("\"eulre\""), HasSubstr("dpm++2m-karras")));
    EXPECT_THAT(error_of(ErrorKind::usage, [] { make_scheduler(json::object(), "s.json"); }),
                HasSubstr("_class_name"));
    EXPECT_THAT(error_of(ErrorKind::usage, [] { make_scheduler(json::array(), "s.json"); }),
                HasSubstr("_class_name"));
    EXPECT_THAT(error_of(ErrorKind::usage,
                         [] {
                             make_scheduler(json{{"_class_name", 3}}, "s.json");
                         }),
                HasSubstr("_class_name"));
    EXPECT_THAT(refusal("euler", json::array()), HasSubstr("array"));
}

TEST(Registry, NamesLayTheirSettingsOverTheFoldersConfig) {
    const json config{{"_class_name", "EulerDiscreteScheduler"}, {"use_exponential_sigmas", true}};
    const json karras{{"use_karras_sigmas", true}};
    const auto named = make_scheduler("dpm++2m-karras", config, "s.json");
    const auto configured = make_scheduler("DPMSolverMultistepScheduler", karras, "s.json");
    EXPECT_EQ(testing::relative_error(run(*named, 5), run(*configured, 5)), 0.0);
    EXPECT_TRUE(make_scheduler("dpm++2m-sde", config, "s.json")->stochastic());
    EXPECT_EQ(make_scheduler("plms", config, "s.json")->start(10)->evaluations().size(), 11U);
    EXPECT_EQ(make_scheduler("pndm", config, "s.json")->start(10)->evaluations().size(), 19U);
}

TEST(Registry, ForeignKeysAreIgnored) {
    const json config{
        {"_class_name", "DDIMScheduler"}, {"solver_order", "none"}, {"_diffusers_version", "0.1"}};
    EXPECT_NO_THROW(make_scheduler("euler", config, "s.json"));
}

TEST(Config, WrongValuesNameFileClassAndKey) {
    EXPECT_THAT(refusal("euler", {{"prediction_type", "noise"}}),
                AllOf(HasSubstr("s.json: EulerDiscreteScheduler: prediction_type is \"noise\""),
                      HasSubstr("epsilon, v_prediction, sample")));
    EXPECT_THAT(refusal("euler_a", {{"prediction_type", "sample"}}), HasSubstr("epsilon, v_prediction"));
    EXPECT_THAT(refusal("euler", {{"timestep_spacing", nullptr}}), HasSubstr("expected a string"));
    EXPECT_THAT(refusal("euler", {{"num_train_timesteps", 1e9}}), HasSubstr("num_train_timesteps"));
    EXPECT_THAT(refusal("euler", {{"num_train_timesteps", 4294967296000}}), HasSubstr("num_train_timesteps"));
    EXPECT_THAT(refusal("euler", {{"num_train_timesteps", -3}}), HasSubstr("is -3"));
    EXPECT_THAT(refusal("euler", {{"num_train_timesteps", 18446744073709551615ULL}}),
                HasSubstr("whole number"));
    EXPECT_THAT(refusal("euler", {{"beta_schedule", "cosine"}}), HasSubstr("squaredcos_cap_v2"));
    EXPECT_THAT(refusal("euler", {{"beta_start", "0.1"}}), HasSubstr("expected a number"));
    EXPECT_THAT(refusal("euler", {{"beta_end", 1.5}}), HasSubstr("between 0 and 1"));
    EXPECT_THAT(refusal("euler", {{"beta_end", -0.5}}), HasSubstr("between 0 and 1"));
    EXPECT_THAT(refusal("euler", {{"beta_schedule", "scaled_linear"}, {"beta_start", -1.0}}),
                HasSubstr("between 0 and 1"));
    EXPECT_THAT(refusal("euler", {{"beta_start", 0.9}, {"beta_end", 0.99}}), HasSubstr("no signal"));
    EXPECT_THAT(refusal("euler", {{"trained_betas", {0.1, 0.2}}}), HasSubstr("2 values"));
    EXPECT_THAT(refusal("euler", {{"trained_betas", {"a"}}}), HasSubstr("list of numbers"));
    EXPECT_THAT(refusal("euler", {{"steps_offset", -1}}), HasSubstr("steps_offset"));
    EXPECT_THAT(refusal("euler", {{"sigma_min", 0.0}}), HasSubstr("sigma_min"));
    EXPECT_THAT(refusal("ddim", {{"clip_sample", "no"}}), HasSubstr("true or false"));
    EXPECT_THAT(refusal("ddim", {{"clip_sample_range", 0}}), HasSubstr("clip_sample_range"));
    EXPECT_THAT(refusal("dpm++2m", {{"solver_order", 4}}), HasSubstr("from 1 to 3"));
    EXPECT_THAT(refusal("flow_match_euler", {{"shift", 0}}), HasSubstr("shift"));
    const std::string longest = refusal("euler", {{"prediction_type", std::string(5000, 'x')}});
    EXPECT_LT(longest.size(), 300U);
}

TEST(Config, WhatIsNotSupportedIsRefusedByName) {
    for (const char* name : {"euler", "heun", "dpm++2m", "flow_match_euler"})
        EXPECT_THAT(refusal(name, {{"use_beta_sigmas", true}}), HasSubstr("use_beta_sigmas"));
    EXPECT_THAT(refusal("euler", {{"use_karras_sigmas", true}, {"use_exponential_sigmas", true}}),
                HasSubstr("use_karras_sigmas is set too"));
    EXPECT_THAT(refusal("dpm++2m", {{"use_flow_sigmas", true}}), HasSubstr("use_flow_sigmas"));
    EXPECT_THAT(refusal("dpm++2m", {{"prediction_type", "flow_prediction"}}), HasSubstr("flow_prediction"));
    EXPECT_THAT(refusal("dpm++2m", {{"algorithm_type", "dpmsolver"}}), HasSubstr("sigma_min"));
    EXPECT_THAT(refusal("dpm++2m", {{"variance_type", "learned_range"}}), HasSubstr("variance_type"));
    EXPECT_THAT(refusal("dpm++2m", {{"lambda_min_clipped", 100.0}}), HasSubstr("lambda_min_clipped"));
    EXPECT_THAT(refusal("flow_match_euler", {{"use_dynamic_shifting", true}}),
                HasSubstr("use_dynamic_shifting"));
    EXPECT_THAT(refusal("flow_match_euler", {{"invert_sigmas", true}}), HasSubstr("invert_sigmas"));
    EXPECT_NO_THROW(make_scheduler("dpm++2m", {{"variance_type", nullptr}, {"use_flow_sigmas", false}}, "s"));
    EXPECT_NO_THROW(make_scheduler("dpm++2m", {{"variance_type", "fixed_small"}}, "s"));  // DDPM's
    EXPECT_THAT(refusal("dpm++2m", {{"algorithm_type", "deis"}}), HasSubstr("sigma_min"));
    EXPECT_THAT(refusal("flow_match_euler", {{"time_shift_type", "other"}}), HasSubstr("time_shift_type"));
    EXPECT_THAT(refusal("heun", {{"beta_start", 0}}), HasSubstr("beta_start is 0"));
}

TEST(Config, AThirdOrderStepBetweenEqualNoiseLevelsIsRefused) {
    const json config{{"algorithm_type", "dpmsolver"},
                      {"final_sigmas_type", "sigma_min"},
                      {"solver_order", 3},
                      {"use_karras_sigmas", true}};
    const auto scheduler = make_scheduler("dpm++2m", config, "s.json");
    EXPECT_NO_THROW(scheduler->start(14));
    EXPECT_THAT(error_of(ErrorKind::usage, [&] { scheduler->start(15); }), HasSubstr("s.json"));
}

TEST(Config, NullIsNotAbsent) {
    for (const char* name : {"euler", "heun", "dpm++2m", "flow_match_euler"})
        for (const char* key : {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"})
            EXPECT_THAT(refusal(name, {{key, nullptr}}), HasSubstr(key));
    EXPECT_THAT(refusal("euler", {{"_use_default_values", nullptr}}), HasSubstr("_use_default_values"));
}

TEST(Config, ValuesThatWereDefaultsAreNotTaken) {  // as in diffusers' from_config
    const json config{{"beta_end", 0.5}, {"_use_default_values", {"beta_end"}}};
    EXPECT_EQ(testing::relative_error(run(*make_scheduler("euler", config, "s.json"), 4),
                                      run(*make_scheduler("euler", json::object(), "s.json"), 4)),
              0.0);
}

TEST(Config, AnInfiniteClipIsNone) {  // as DPM-Solver's own default; io reads Python's -Infinity so
    const json config{{"lambda_min_clipped", -std::numeric_limits<double>::infinity()}};
    EXPECT_EQ(testing::relative_error(run(*make_scheduler("dpm++2m", config, "s.json"), 4),
                                      run(*make_scheduler("dpm++2m", json::object(), "s.json"), 4)),
              0.0);
    EXPECT_THAT(refusal("euler", {{"beta_end", std::numeric_limits<double>::infinity()}}),
                HasSubstr("between 0 and 1"));
}

TEST(Steps, MapFromEvaluations) {
    const auto make = [](const char* name) { return make_scheduler(name, json::object(), "s.json"); };
    EXPECT_EQ(steps_of(*make("heun")->start(4)), (std::vector{0, 0, 1, 1, 2, 2, 3}));
    EXPECT_EQ(steps_of(*make("plms")->start(4)), (std::vector{0, 0, 1, 2, 3}));
    EXPECT_EQ(steps_of(*make("plms")->start(1)), (std::vector{0}));
    EXPECT_EQ(steps_of(*make("pndm")->start(5)), (std::vector{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4}));
    EXPECT_EQ(steps_of(*make("dpm++2m")->start(3)), (std::vector{0, 1, 2}));
    EXPECT_EQ(make("heun")->start(5)->evaluations().size(), 9U);
    EXPECT_EQ(make("heun")->start(5)->num_steps(), 5);
}

TEST(Steps, CountsThatCannotBeAreRefused) {
    for (const auto& entry : schedulers()) {
        const auto scheduler = make_scheduler(entry.name, json::object(), "s.json");
        for (const int count : {0, -1, 1'000'000'000})
            EXPECT_THAT(error_of(ErrorKind::usage, [&] { scheduler->start(count); }),
                        HasSubstr(std::to_string(count)));
    }
    const json leading{{"timestep_spacing", "leading"}};
    for (const char* name : {"euler", "euler_a", "heun", "ddim", "dpm++2m", "plms"})
        EXPECT_THAT(error_of(ErrorKind::usage, [&] { make_scheduler(name, leading, "s")->start(1001); }),
                    HasSubstr("1001 steps are more than"))
            << name;
    EXPECT_THAT(error_of(ErrorKind::usage,
                         [] {
                             make_scheduler("ddim", {{"steps_offset", 1}}, "s")->start(1000);
                         }),
                HasSubstr("timestep 1000 lies past"));
    EXPECT_THAT(error_of(ErrorKind::usage, [] { make_scheduler("pndm", json::object(), "s")->start(3); }),
                HasSubstr("skip_prk_steps"));
    EXPECT_THAT(
        error_of(ErrorKind::usage, [] { make_scheduler("dpm++2m", json::object(), "s")->start(1500); }),
        HasSubstr("1500 steps"));
    const json zero_snr{{"rescale_betas_zero_snr", true}, {"timestep_spacing", "trailing"}};
    EXPECT_THAT(error_of(ErrorKind::usage, [&] { make_scheduler("ddim", zero_snr, "s")->start(5); }),
                HasSubstr("rescale_betas_zero_snr"));
}

TEST(Steps, TrailingHasNoTimestepBelowZero) {
    const json trailing{{"timestep_spacing", "trailing"}};
    for (const char* name : {"euler", "heun", "ddim", "dpm++2m", "plms"}) {
        const auto scheduler = make_scheduler(name, trailing, "s.json");
        for (const int count : {61, 103, 121, 999, 1000}) {  // numpy.arange gives some of them one too many
            const auto sampler = scheduler->start(count);
            EXPECT_EQ(sampler->num_steps(), count) << name;
            EXPECT_GE(sampler->evaluations().back().timestep, 0.0F) << name;
        }
    }
}

TEST(Steps, EveryCountGivesFiniteSamples) {
    for (const auto& entry : schedulers()) {
        const auto scheduler = make_scheduler(entry.name, json::object(), "s.json");
        for (const int count : {4, 5, 14, 15, 16, 100}) {
            const Tensor result = run(*scheduler, count);
            for (const float x : result.span<float>())
                ASSERT_TRUE(std::isfinite(x)) << entry.name << " in " << count;
        }
    }
}

TEST(Sampler, ThreadsDoNotDisturbEachOther) {
    for (const auto& entry : schedulers()) {
        const auto scheduler = make_scheduler(entry.name, json::object(), "s.json");
        const Tensor alone = run(*scheduler, 6);
        Tensor first;
        Tensor second;
        std::thread a([&] { first = run(*scheduler, 6); });
        std::thread b([&] { second = run(*scheduler, 6); });
        a.join();
        b.join();
        EXPECT_EQ(testing::relative_error(first, alone), 0.0) << entry.name;
        EXPECT_EQ(testing::relative_error(second, alone), 0.0) << entry.name;
    }
}

TEST(Sampler, OutlivesItsSchedulerAndLeavesItsInputs) {
    for (const auto& entry : schedulers()) {
        auto scheduler = make_scheduler(entry.name, json::object(), "s.json");
        const auto sampler = scheduler->start(4);
        scheduler.reset();
        Generator generator(1);
        const Tensor sample = generator.randn({2, 9});
        const Tensor output = generator.randn({2, 9});
        const Tensor sample_before = sample.clone();
        const Tensor output_before = output.clone();
        Tensor next = sampler->step(output, 0, sample, &generator);
        next = sampler->step(output, 1, next, &generator);
        EXPECT_EQ(testing::relative_error(sample, sample_before), 0.0) << entry.name;
        EXPECT_EQ(testing::relative_error(output, output_before), 0.0) << entry.name;
    }
}

TEST(Sampler, MisuseIsAnError) {
    const auto scheduler = make_scheduler("euler_a", json::object(), "s.json");
    const auto sampler = scheduler->start(2);
    const Tensor sample(DType::f32, {1, 4});
    Generator generator(0);
    const auto failure_of = [&](const Tensor& output, int e, const Tensor& x, Generator* g) {
        return error_of(ErrorKind::failure, [&] { sampler->step(output, e, x, g); });
    };
    EXPECT_THAT(failure_of(sample, 1, sample, &generator),
                HasSubstr("evaluation 1 came when 0 of 2 was due"));
    EXPECT_THAT(failure_of(Tensor(DType::f32, {4}), 0, sample, &generator), HasSubstr("shape (4)"));
    EXPECT_THAT(failure_of(Tensor(DType::f16, {1, 4}), 0, sample, &generator), HasSubstr("f16"));
    EXPECT_THAT(failure_of(sample, 0, Tensor(), &generator), HasSubstr("no tensor"));
    EXPECT_THAT(error_of(ErrorKind::failure, [&] { sampler->scale_model_input(sample, 2); }),
                HasSubstr("evaluation 2 of 2"));
    EXPECT_THAT(failure_of(sample, 0, sample, nullptr), HasSubstr("no generator"));
}

}  // namespace
}  // namespace reprise
