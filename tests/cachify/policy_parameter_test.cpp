#include "cachify/policy_parameter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "cachify/policies.h"
#include "support.h"

namespace reprise::cachify {
namespace {

using reprise::testing::error_of;
using ::testing::HasSubstr;
using Type = PolicyParameter::Type;

struct Options {
    int count = 3;
    double share = 0.5;
    bool even = true;
    std::string file;
};

constexpr PolicyParameter kParameters[] = {
    parameter<&Options::count>({"count", "so many", 1}),
    parameter<&Options::share>({"share", "of all"}),
    parameter<&Options::even>({"even", "or odd"}),
    parameter<&Options::file>({.name = "file", .meaning = "where it is", .required = true}),
};

Options read(std::string_view text) {
    Options options;
    set_values(kParameters, read_policy_values("one", {kParameters}, text), &options);
    return options;
}

TEST(PolicyParameter, HasTheDefaultOfItsMember) {
    EXPECT_EQ(kParameters[0].otherwise(), 3);
    EXPECT_EQ(kParameters[1].otherwise(), 0.5);
    EXPECT_EQ(kParameters[2].otherwise(), 1);
    EXPECT_EQ(kParameters[3].otherwise, nullptr);
    EXPECT_EQ(kParameters[2].type, Type::yes);
}

TEST(PolicyParameter, IsSetFromText) {
    const Options options = read("file=a=b,count=7,even=0,share=1e-3");
    EXPECT_EQ(options.count, 7);
    EXPECT_EQ(options.share, 1e-3);
    EXPECT_FALSE(options.even);
    EXPECT_EQ(options.file, "a=b");
    EXPECT_EQ(read("file=a").count, 3);
}

TEST(PolicyParameter, IsRefusedByName) {
    const auto refusal = [](const char* text) { return error_of([&] { read(text); }); };
    EXPECT_THAT(refusal("count=0,file=a"),
                HasSubstr("one: count is 0; expected a whole number of at least 1"));
    EXPECT_THAT(refusal("count=1.5,file=a"), HasSubstr("one: count is 1.5"));
    EXPECT_THAT(refusal("share=nan,file=a"), HasSubstr("one: share is 'nan'; expected a number"));
    EXPECT_THAT(refusal("even=2,file=a"), HasSubstr("one: even is 2; expected 0 or 1"));
    EXPECT_THAT(refusal("count=2"), HasSubstr("one: give file=..., where it is"));
    EXPECT_THAT(refusal("file="), HasSubstr("one: give file=..."));
    EXPECT_THAT(refusal("count=2,count=3,file=a"), HasSubstr("one: count is given twice"));
    EXPECT_THAT(refusal("size=2"), HasSubstr("'size=2' is no parameter; there are count, share, even, file"));
}

TEST(PolicyParameter, EveryPolicyHasEachNameOnceWithAMeaning) {
    for (const NamedPolicy& policy : policies()) {
        std::set<std::string_view> names;
        for (const auto& list : {policy.parameters, common_parameters()})
            for (const PolicyParameter& each : list) {
                EXPECT_TRUE(names.insert(each.name).second) << policy.name << ": " << each.name;
                EXPECT_FALSE(each.meaning.empty()) << each.name;
                EXPECT_TRUE(each.type != Type::whole || each.otherwise() >= each.least) << each.name;
            }
    }
}

}  // namespace
}  // namespace reprise::cachify
