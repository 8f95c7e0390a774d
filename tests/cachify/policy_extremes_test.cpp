// Every policy with every parameter at its extremes, on denoisers of every form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "cachify/denoisers.h"
#include "cachify/plan.h"
#include "cachify/policies.h"
#include "cachify/schedule.h"
#include "cachify/strange.h"
#include "cachify/support.h"
#include "cachify/units.h"
#include "files/atomic_file.h"
#include "files/printable.h"

namespace reprise::cachify {
namespace {

using reprise::testing::error_of;
using testing::graph_of;
using ::testing::HasSubstr;
using testing::ModuleList;
using testing::stack;
using testing::strange_denoiser;
using testing::transformer;
using testing::unet;

struct Form {
    std::string name, denoiser_class;
    graph::Graph graph;
    friend std::ostream& operator<<(std::ostream& out, const Form& form) { return out << form.name; }
};

ModuleList operator+(ModuleList a, const ModuleList& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

std::vector<Form> forms() {
    const ModuleList attention = {{"a.attn1", ModuleKind::self_attention},
                                  {"a.attn2", ModuleKind::cross_attention}};
    return {
        {"nothing", "NewTransformer2DModel", graph_of({})},
        {"no blocks", "NewTransformer2DModel", graph_of(attention)},
        {"one block", "PixArtTransformer2DModel", transformer(1)},
        {"two blocks", "SD3Transformer2DModel", transformer(2)},
        {"three blocks", "PixArtTransformer2DModel", graph_of(stack("transformer_blocks", 3) + attention)},
        {"Wan", "WanTransformer3DModel", graph_of(stack("blocks", 10) + attention)},
        {"FLUX", "FluxTransformer2DModel",
         graph_of(stack("transformer_blocks", 4) + stack("single_transformer_blocks", 6))},
        {"odd names", "NewTransformer2DModel", graph_of(stack("a(b*[c", 5))},
        {"UNet", "UNet2DConditionModel", unet({2, 2, 2}, true, attention)},
        {"uneven UNet", "UNet2DConditionModel", unet({1, 3, 2})},
        {"shallow UNet", "UNet2DConditionModel", unet({1})},
        {"K blocks", "UNet2DConditionModel", unet({0, 0}, false)},
        {"one K block", "UNet2DConditionModel", unet({0}, false)},
        {"video UNet", "UNetSpatioTemporalConditionModel", unet({2, 2, 2, 2}, true, attention)},
        {"strange", "StrangeModel", strange_denoiser()},
    };
}

const char* const kNumbers[] = {"-1",     "0",      "0.5", "1",       "1.4",        "2",
                                "3",      "20",     "1e6", "1000001", "2147483647", "1e308",
                                "-1e308", "1e-308", "nan", "inf",     "-inf",       ""};

std::vector<std::string> texts(const std::string& profile) {
    return {"",
            "fast",
            "f16",
            "bf16",
            profile,
            "no such file",
            "größe",
            std::string(100'000, 'x'),
            std::string("a\0b\n", 4)};
}

/// One line that a person reads to the end.
void expect_fit_to_print(const std::string& error) {
    EXPECT_LT(error.size(), 1500U) << error.substr(0, 200);
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
}

/// A plan of what a policy made, or a refusal in words.
void expect_planned_or_refused(const graph::Graph& graph, const Config& config, int num_steps) {
    const std::string error = error_of([&] {
        const auto units = with_units(graph, config);
        const graph::Graph& own = units ? units->graph : graph;
        const auto schedule = make_schedule(own, units ? units->config : config, num_steps, 2);
        const std::string advice = advice_on(config, schedule);
        if (schedule.rules.empty() && schedule.branch_rules.empty())
            EXPECT_THAT(advice, HasSubstr("reuses nothing"));
        else
            EXPECT_TRUE(advice.empty() || schedule.decision) << advice;
        PlanRequest request;
        for (int step = 0; step < num_steps; ++step) request.steps_of_evaluations.push_back(step);
        make_plan(own, schedule, request);
    });
    expect_fit_to_print(error);
}

class PolicyExtremes : public ::testing::TestWithParam<Form> {
  protected:
    PolicyExtremes() : graph_(GetParam().graph), context_{GetParam().denoiser_class, graph_} {
        Profile profile;
        profile.model.class_name = GetParam().denoiser_class;
        profile.run.num_inference_steps = 4;
        profile.run.seeds = {0};
        for (const auto& module : graph_.modules)
            if (!module.outputs.empty())
                profile.modules.push_back({module.name, module.kind, true, {0, 0.1, 0.3, 0.1}});
        profile.block_ratios = profile.denoiser_ratios = {1, 1.1, 0.9, 1};
        profile.polynomial = {2, 0};
        profile_ = (std::filesystem::path(::testing::TempDir()) / ("extremes-" + GetParam().name + ".json"))
                       .string();
        write_file(profile_, to_json(profile));
    }
    ~PolicyExtremes() override { std::filesystem::remove(profile_); }

    /// Whether the policy is refused; else it is planned.
    bool refuses(const NamedPolicy& policy, const std::string& text) {
        Config config;
        const std::string error = error_of([&] { config = make_policy(context_, text); });
        expect_fit_to_print(error);
        if (!error.empty()) {
            EXPECT_TRUE(error.starts_with(fmt::format("{}: ", policy.name))) << error;
            return true;
        }
        for (const int num_steps : {1, 5}) expect_planned_or_refused(graph_, config, num_steps);
        return false;
    }

    graph::Graph graph_;
    PolicyContext context_;
    std::string profile_;
};

TEST_P(PolicyExtremes, ArePlannedOrRefusedInItsName) {
    for (const NamedPolicy& policy : policies()) {
        std::string always;  // what the policy cannot do without
        for (const auto& parameter : policy.parameters)
            if (parameter.name == "profile") always = "profile=" + profile_;
        const std::string name(policy.name);
        refuses(policy, always.empty() ? name : name + ":" + always);
        for (const auto& list : {policy.parameters, common_parameters()})
            for (const auto& parameter : list) {
                const bool number = parameter.type != PolicyParameter::Type::text;
                for (const std::string& value :
                     number ? std::vector<std::string>(std::begin(kNumbers), std::end(kNumbers))
                            : texts(profile_)) {
                    std::string text = fmt::format("{}:{}={}", name, parameter.name, value);
                    if (!always.empty() && parameter.name != "profile") text += "," + always;
                    if (name == "deepcache" && (parameter.name == "center" || parameter.name == "power"))
                        text += ",uniform=0";
                    const bool refused = refuses(policy, text);
                    const bool finite = value.find_first_of("an") == std::string::npos && !value.empty();
                    EXPECT_TRUE(refused || finite || !number) << text;
                    if (HasFailure()) FAIL() << printable(text, 200);
                }
            }
    }
}

// What nobody writes: pieces of policies in any order, a few thousand of them.
TEST_P(PolicyExtremes, TextsOfAnyKindArePlannedOrRefused) {
    std::mt19937 random(20);
    std::vector<std::string> pieces = {":",
                                       "+",
                                       "=",
                                       ",",
                                       ":",
                                       ",",
                                       "+",
                                       "==",
                                       " ",
                                       "\"",
                                       "{",
                                       "ü",
                                       "1e308",
                                       "nan",
                                       "-1",
                                       "0",
                                       "2",
                                       "1e+3",
                                       "mask=fast",
                                       "kept_in=f16",
                                       std::string(1, '\0'),
                                       std::string(3000, '9')};
    for (const NamedPolicy& policy : policies()) {
        pieces.emplace_back(policy.name);
        for (const auto& parameter : policy.parameters)
            pieces.push_back(std::string(parameter.name) + "=" +
                             (parameter.name == "profile" ? profile_ : "2"));
    }
    int made = 0;
    for (int i = 0; i < 2000; ++i) {
        std::string text(policies()[random() % policies().size()].name);
        for (auto count = random() % 5; count > 0; --count) text += pieces[random() % pieces.size()];
        Config config;
        const std::string error = error_of([&] { config = make_policy(context_, text); });
        expect_fit_to_print(error);
        if (error.empty()) {
            ++made;
            expect_planned_or_refused(graph_, config, 4);
        }
        if (HasFailure()) FAIL() << printable(text, 200);
    }
    EXPECT_GT(made, GetParam().name == "nothing" ? 0 : 50);
}

// From C++ and Python whole numbers have no bound of a text.
TEST_P(PolicyExtremes, OptionsAtTheEndsOfInt) {
    for (const int value : {std::numeric_limits<int>::min(), -1, 0, std::numeric_limits<int>::max()}) {
        const std::function<Config()> calls[] = {
            [&] { return deep_cache(context_, {.branch = value}); },
            [&] { return deep_cache(context_, {.interval = value}); },
            [&] { return taylor_seer({.before = value}); },
            [&] { return taylor_seer({.interval = value}); },
            [&] { return taylor_seer({.after = value}); },
            [&] { return t_gate({.gate = value, .warm_up = value}); },
            [&] { return guidance_reuse({.interval = value, .before = value}); },
            [&] { return attention_broadcast(context_, {.self_attention = value}); },
            [&] { return dual_block_cache(context_, {.first = value, .last = value}); },
            [&] { return dual_block_cache(context_, {.first = 1, .last = value}); },
            [&] {
                return easy_cache({{1, value, value, value}});
            },
        };
        for (const auto& call : calls) {
            Config config;
            const std::string error = error_of([&] { config = call(); });
            expect_fit_to_print(error);
            if (error.empty()) expect_planned_or_refused(graph_, config, 4);
        }
    }
    for (const double value : {-HUGE_VAL, HUGE_VAL, std::nan("")})
        for (const bool unet : {false, true})
            EXPECT_THAT(error_of([&] { unet ? unet_cache({{value}}) : easy_cache({{value}}); }),
                        HasSubstr("threshold is "));
    const auto graph = transformer(4);
    EXPECT_THAT(error_of([&] {
                    deep_cache({"", graph}, {.branch = std::numeric_limits<int>::max()});
                }),
                HasSubstr("branch is 2147483647; expected 0 to 0"));
}

INSTANTIATE_TEST_SUITE_P(Forms, PolicyExtremes, ::testing::ValuesIn(forms()), [](const auto& test) {
    std::string name = test.param.name;
    std::replace(name.begin(), name.end(), ' ', '_');
    return name;
});

}  // namespace
}  // namespace reprise::cachify
