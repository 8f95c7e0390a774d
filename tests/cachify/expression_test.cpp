#include "cachify/expression.h"

#include <gtest/gtest.h>

#include "reprise/cachify.h"
#include "reprise/error.h"

namespace reprise::cachify {
namespace {

struct Case {
    const char* text;
    int step, num_steps;
    bool holds;
};

// Expected values are Python's.
constexpr Case kCases[] = {
    {"step % 2 != 0", 0, 20, false},
    {"step % 2 != 0", 1, 20, true},
    {"step % 3 != 0", 3, 20, false},
    {"-7 // 2 == -4", 0, 1, true},
    {"-7 % 3 == 2", 0, 1, true},
    {"7 % -3 == -2", 0, 1, true},
    {"1 + 2 * 3 == 7", 0, 1, true},
    {"(1 + 2) * 3 == 9", 0, 1, true},
    {"--step == step", 4, 9, true},
    {"step in [1, 3, 5]", 3, 9, true},
    {"step not in [1, 3, 5]", 3, 9, false},
    {"step in (2, 4,)", 4, 9, true},
    {"not step == 3", 3, 9, false},
    {"not not step", 3, 9, true},
    {"5 <= step < num_steps - 2", 6, 9, true},
    {"5 <= step < num_steps - 2", 7, 9, false},
    {"1 < 3 > 2", 0, 1, true},
    {"step > 2 and step < 5 or step == 8", 8, 9, true},
    {"step == 0 or 1 // step > 0", 0, 9, true},  // the right side is not evaluated
    {"True", 0, 1, true},
    {"False or step", 0, 1, false},
    {"step - 1 - 1 == 0", 2, 9, true},
    {"8 // 2 // 2 == 2", 0, 1, true},
    {"  step==1  ", 1, 2, true},
};

TEST(Expression, MeansWhatItMeansInPython) {
    for (const Case& c : kCases) EXPECT_EQ(parse_condition(c.text)(c.step, c.num_steps), c.holds) << c.text;
}

TEST(Expression, RefusesWhatIsWrong) {
    for (const char* text :
         {"", "step %", "step / 2", "stepp", "step 2", "(step", "step in", "step in [1", "import os",
          "step = 2", "1.5", "step in [1] in [2]", "9999999999999999999999", "step not 2"})
        EXPECT_THROW(parse_condition(text), Error) << text;
    EXPECT_THROW(parse_condition(std::string(5000, '(')), Error);
    EXPECT_THROW(parse_condition(std::string(20000, ' ')), Error);
}

TEST(Expression, NamesThePlaceOfTheFault) {
    try {
        parse_condition("step % 2 !! 0");
        FAIL();
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("character 10"), std::string::npos) << error.what();
        EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
}

TEST(Expression, FailsInWordsWhenEvaluated) {
    EXPECT_THROW(parse_condition("1 % step == 0")(0, 9), Error);
    EXPECT_THROW(parse_condition("9223372036854775807 + step > 0")(1, 9), Error);
    EXPECT_THROW(parse_condition("9223372036854775807 * 3 > step")(1, 9), Error);
    EXPECT_THROW(parse_condition("(-9223372036854775807 - 1) // -1 > 0")(1, 9), Error);
    EXPECT_TRUE(parse_condition("(-9223372036854775807 - 1) % -1 == 0")(1, 9));
}

TEST(StepFunction, TakesFunctionsExpressionsAndLists) {
    const StepFunction seed = [](int step) { return step % 2 != 0; };
    const StepFunction both = [](int step, int num_steps) { return step == num_steps - 1; };
    const StepFunction list = std::vector<int>{3, 1};
    EXPECT_TRUE(seed(1, 9));
    EXPECT_TRUE(both(8, 9));
    EXPECT_TRUE(list(3, 9));
    EXPECT_FALSE(list(2, 9));
    EXPECT_EQ(list.text(), "[1,3]");
    EXPECT_EQ(StepFunction({3, 1}, 20).text(), R"({"of":20,"steps":[1,3]})");
}

}  // namespace
}  // namespace reprise::cachify
