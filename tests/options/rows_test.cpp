#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "cachify/support.h"
#include "options/changed.h"
#include "options/names.h"
#include "options/row.h"
#include "reprise/error.h"

namespace reprise {
namespace {

using options::Row;
using options::Table;
using options::Type;
using ::testing::AllOf;
using testing::changed;
using testing::error_of;
using ::testing::HasSubstr;

/// Calls `test` with each row of each table, and an owner that is as by default.
template <class Test>
void for_each_row(const Test& test) {
    for (const Row& row : options::generate_options().rows) {
        SCOPED_TRACE(row.name);
        GenerateOptions owner;
        test(options::generate_options(), row, &owner);
    }
    for (const Row& row : options::load_options().rows) {
        SCOPED_TRACE(row.name);
        LoadOptions owner;
        test(options::load_options(), row, &owner);
    }
    for (const Row& row : options::prompt_texts_options().rows) {
        SCOPED_TRACE(row.name);
        PromptTexts owner;
        test(options::prompt_texts_options(), row, &owner);
    }
}

TEST(OptionRows, WhatIsSetIsRead) {
    for_each_row([](const Table& table, const Row& row, void* owner) {
        EXPECT_FALSE(table.differs(row, owner));
        if (row.set == nullptr) return;
        const Json value = changed(row, table);
        row.set(owner, value, row, "the test");
        EXPECT_EQ(row.get(owner), value);
        EXPECT_TRUE(table.differs(row, owner));
        for (const Row& other : table.rows)
            EXPECT_EQ(table.differs(other, owner), &other == &row) << other.name;
        row.set(owner, row.get(table.defaults), row, "the test");
        EXPECT_FALSE(table.differs(row, owner));
    });
}

TEST(OptionRows, EveryNameAndFlagStandsOnce) {
    std::set<std::string_view> names, flags;
    for_each_row([&](const Table& table, const Row& row, const void* /*owner*/) {
        EXPECT_TRUE(names.insert(row.name).second || &table == &options::prompt_texts_options());
        EXPECT_EQ(table.find(row.name), &row);
        EXPECT_EQ(row.flag.empty(), row.group == options::Group::none);
        EXPECT_EQ(row.flag.empty(), row.help.empty());
        EXPECT_TRUE(row.flag.empty() || flags.insert(row.flag).second);
    });
}

TEST(OptionRows, AnotherTypeIsRefused) {
    for_each_row([](const Table& table, const Row& row, void* owner) {
        if (row.set == nullptr) return;
        const Json wrong = row.type == Type::boolean ? Json(1) : Json(true);
        EXPECT_THAT(error_of([&] { row.set(owner, wrong, row, "the test"); }),
                    AllOf(HasSubstr("the test: "), HasSubstr(std::string(row.name)),
                          HasSubstr(text_of(wrong)), HasSubstr("expected " + options::expected(row))));
        const std::string of_null = error_of([&] { row.set(owner, nullptr, row, "the test"); });
        EXPECT_THAT(of_null, HasSubstr(row.optional ? "" : "null"));
        EXPECT_FALSE(table.differs(row, owner));
    });
}

TEST(OptionRows, WhatIsOutsideOfTheDomainIsRefused) {
    for_each_row([](const Table& table, const Row& row, void* owner) {
        std::vector<Json> outside;
        if (row.type == Type::integer) {
            outside = {row.domain.least - 1, 1.5, row.wide ? Json(1e30) : Json(std::int64_t{1} << 31)};
            if (row.domain.least >= 0) outside.emplace_back(-1);
            if (row.domain.most < 1e6) outside.emplace_back(static_cast<std::int64_t>(row.domain.most) + 1);
        }
        if (row.type == Type::number) outside = {std::nan(""), HUGE_VAL, 1e39, row.domain.least * 1.1 - 1};
        if (row.type == Type::text && row.domain.names != nullptr && !row.domain.others) outside = {"", "f8"};
        if (row.type == Type::pair) outside = {Json::array({1}), {1, 2, 3}, {1, 2.5}};
        for (const Json& value : outside)
            EXPECT_THAT(error_of([&] { row.set(owner, value, row, "the test"); }),
                        HasSubstr("expected " + options::expected(row)))
                << value;
        EXPECT_FALSE(table.differs(row, owner));
    });
}

TEST(OptionRows, WhatIsWrittenIsReadAgain) {
    GenerateOptions options;
    const Table& table = options::generate_options();
    for (const Row& row : table.rows)
        if (row.set != nullptr) row.set(&options, changed(row, table), row, "the test");
    options.reuse->count = cachify::Count::evaluations;
    const Json written = options::write(table, &options, options::kMetadata);
    GenerateOptions read;
    options::read(table, &read, Json::parse(written.dump()), "the test");
    for (const Row& row : table.rows)
        EXPECT_TRUE((row.counts & options::kMetadata) == 0 || row.get(&read) == row.get(&options))
            << row.name;
    EXPECT_EQ(written["video"]["fps"], 15);
    EXPECT_EQ(written["reuse"]["count"], "evaluations");
    EXPECT_FALSE(written.contains("decode"));
    EXPECT_EQ(options::write(table, table.defaults, options::kMetadata), Json::object());
}

TEST(OptionRows, UnknownKeysAreNamed) {
    const auto refusal = [](const char* json) {
        GenerateOptions options;
        return error_of(
            [&] { options::read(options::generate_options(), &options, Json::parse(json), "the test"); });
    };
    EXPECT_THAT(refusal(R"({"promt": "a"})"), HasSubstr("the test: there is no option \"promt\""));
    EXPECT_THAT(refusal(R"({"video": {"frames": 3}})"), HasSubstr("\"video.frames\""));
    EXPECT_THAT(refusal(R"({"video.frames": 3})"), HasSubstr("\"video.frames\""));
    EXPECT_EQ(refusal(R"({"video.fps": 3})"), "");
    EXPECT_THAT(refusal(R"({"vid": {"fps": 3}})"), HasSubstr("\"vid\""));
    EXPECT_THAT(refusal(R"({"on_phase": true})"), HasSubstr("\"on_phase\""));
    EXPECT_THAT(refusal(R"({"latents": [1]})"), HasSubstr("\"latents\""));
    EXPECT_THAT(refusal(R"({"prompt_texts": [{"prompt": "a"}]})"), HasSubstr("\"prompt_texts.prompt\""));
    EXPECT_THAT(refusal(R"({"reuse": {"what": "off", "counts": 1}})"), HasSubstr("\"counts\""));
    EXPECT_THAT(refusal("[1]"), HasSubstr("the JSON is [1], expected an object"));
}

TEST(OptionNames, EachIsOfItsValue) {
    for (const auto& [name, value] : options::names_of<GuidanceMode>()) {
        EXPECT_EQ(options::name_of(value), name);
        EXPECT_EQ(options::value_of<GuidanceMode>(name, "x"), value);
    }
    EXPECT_THAT(error_of([] { options::value_of<Fit>("tile", "the fit"); }),
                HasSubstr("the fit is \"tile\", expected one of stretch, crop, letterbox"));
}

}  // namespace
}  // namespace reprise
