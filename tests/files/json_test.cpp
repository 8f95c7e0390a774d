#include "files/json.h"

#include <cmath>

#include "files/printable.h"
#include "files/support.h"

namespace reprise {
namespace {

using test::error_of;
using testing::AllOf;
using testing::HasSubstr;

TEST(Json, ReadsWhatPythonWrites) {
    const Json json = parse_json(R"({"a": [1, {"b": null}], "c": -Infinity, "d": "Infinity \" Infinity",
                                     "e": Infinity, "a": {"n": [[], {}]}, "f": 1.5})",
                                 "x.json");
    EXPECT_EQ(json["a"], Json::parse(R"({"n": [[], {}]})"));
    EXPECT_EQ(require<double>(json, "c", "x.json"), -HUGE_VAL);
    EXPECT_EQ(require<float>(json, "e", "x.json"), HUGE_VALF);
    EXPECT_EQ(require<std::string>(json, "d", "x.json"), "Infinity \" Infinity");
    EXPECT_EQ(require<double>(json, "f", "x.json"), 1.5);
}

TEST(Json, BrokenTextNamesFileLineAndByte) {
    EXPECT_THAT(error_of([] { parse_json("{\"a\": 1,\n \"b\": }", "x.json"); }),
                AllOf(HasSubstr("x.json: broken JSON at line 2, byte 16"), HasSubstr("unexpected '}'")));
    for (const char* text :
         {"", "{", "[1,]", "{\"a\" 1}", "nul", "[1] 2", "\"\xff\"", "\"abc", "1e999", "NaN"})
        EXPECT_THAT(error_of([&] { parse_json(text, "x.json"); }), HasSubstr("broken JSON at line 1"))
            << text;
    EXPECT_THAT(error_of([] { parse_json(std::string_view("{}\0{", 4), "x.json"); }), HasSubstr("zero byte"));
    EXPECT_LT(error_of([] { parse_json('"' + std::string(1 << 20, 'x'), "x.json"); }).size(), 300U);
}

TEST(Json, NestingIsLimited) {
    EXPECT_NO_THROW(parse_json(std::string(256, '[') + std::string(256, ']'), "x.json"));
    EXPECT_THAT(error_of([] { parse_json(std::string(1'000'000, '['), "x.json"); }),
                HasSubstr("deeper than 256 levels"));
    std::string objects;
    for (int i = 0; i < 300; ++i) objects += "{\"a\":";
    EXPECT_THAT(error_of([&] { parse_json(objects, "x.json"); }), HasSubstr("deeper than 256 levels"));
}

TEST(Json, FilesThatCannotBeRead) {
    const test::TempFolder folder;
    EXPECT_THAT(error_of([&] { load_json(folder / "none.json"); }), HasSubstr("none.json: no such file"));
    EXPECT_THAT(error_of([&] { load_json(folder.path()); }), HasSubstr("not a file"));
    const auto large = folder.put("large.json", "{}");
    std::filesystem::resize_file(large, kMaxJsonBytes + 1);
    EXPECT_THAT(error_of([&] { load_json(large); }), HasSubstr("expected at most 67108864"));
    EXPECT_THAT(error_of([&] { Config::load(folder.put("list.json", "[1]")); }),
                HasSubstr("object was expected"));
    EXPECT_EQ(load_json(folder.put("good.json", "{\"a\": 1}"))["a"], 1);
}

TEST(Json, ValuesHaveTheTypeAskedForOrTheErrorSaysWhat) {
    const Config config{
        Json::parse(R"({"int": 3, "big": 5000000000, "huge": 18446744073709551615, "half": 0.5,
        "text": "t", "flag": true, "none": null, "ints": [1, 2], "texts": ["a", "b"], "mixed": [1, "b"]})"),
        "c.json"};
    EXPECT_EQ(config.require<int>("int"), 3);
    EXPECT_EQ(config.require<std::int64_t>("big"), 5'000'000'000);
    EXPECT_EQ(config.require<double>("int"), 3.0);
    EXPECT_EQ(config.require<bool>("flag"), true);
    EXPECT_EQ(config.require<std::vector<int>>("ints"), (std::vector{1, 2}));
    EXPECT_EQ(config.require<std::vector<std::string>>("texts"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(config.get_or("none", Json(7)), 7);
    EXPECT_EQ(config.get_or("absent", "word"), "word");
    EXPECT_EQ(config.get_or("text", "word"), "t");
    EXPECT_EQ(config.find<int>("none"), std::nullopt);
    EXPECT_TRUE(config.has("int"));
    EXPECT_FALSE(config.has("none"));
    EXPECT_FALSE(config.has("absent"));
    EXPECT_TRUE(config.is_null("none"));
    EXPECT_FALSE(config.is_null("absent"));

    EXPECT_EQ(error_of([&] { config.require<int>("absent"); }),
              "c.json: \"absent\" is missing, expected an integer of 32 bits");
    EXPECT_EQ(error_of([&] { config.require<bool>("none"); }),
              "c.json: \"none\" is null, expected true or false");
    EXPECT_EQ(error_of([&] { config.get_or("none", 7); }),
              "c.json: \"none\" is null, expected an integer of 32 bits");
    EXPECT_EQ(error_of([&] { config.require<int>("half"); }),
              "c.json: \"half\" is 0.5, expected an integer of 32 bits");
    EXPECT_EQ(error_of([&] { config.get_or("text", 1.0); }), "c.json: \"text\" is \"t\", expected a number");
    EXPECT_THAT(error_of([&] { config.require<int>("big"); }), HasSubstr("is 5000000000"));
    EXPECT_THAT(error_of([&] { config.require<std::int64_t>("huge"); }), HasSubstr("expected an integer"));
    EXPECT_THAT(error_of([&] { config.require<bool>("int"); }), HasSubstr("is 3, expected true or false"));
    EXPECT_THAT(error_of([&] { config.require<std::vector<int>>("mixed"); }),
                HasSubstr("is [1,\"b\"], expected a list of integers of 32 bits"));
    EXPECT_THAT(error_of([] { require<int>(Json(3), "key", "c.json"); }), HasSubstr("object with \"key\""));
}

TEST(Json, OneIntegerStandsForAList) {
    const Json json = Json::parse(R"({"one": 2, "three": [1, 2, 3], "text": "x"})");
    EXPECT_EQ(require_ints(json, "one", 3, "c.json"), (std::vector<std::int64_t>{2, 2, 2}));
    EXPECT_EQ(require_ints(json, "three", 3, "c.json"), (std::vector<std::int64_t>{1, 2, 3}));
    EXPECT_EQ(find_ints(json, "absent", 3, "c.json"), std::nullopt);
    EXPECT_THAT(error_of([&] { require_ints(json, "three", 2, "c.json"); }),
                HasSubstr("\"three\" is [1,2,3], expected an integer or a list of 2 integers"));
    EXPECT_THAT(error_of([&] { require_ints(json, "text", 2, "c.json"); }), HasSubstr("is \"x\""));
    EXPECT_THAT(error_of([&] { require_ints(json, "absent", 2, "c.json"); }), HasSubstr("is missing"));
}

TEST(Printable, MakesAnyTextFitForAMessage) {
    EXPECT_EQ(printable("plain é 日本 😀"), "plain é 日本 😀");
    EXPECT_EQ(printable("a\nb\x1b[0m\x7f"), "a?b?[0m?");
    EXPECT_THAT(printable("\xff\xc3(\xe2\x82 \xed\xa0\x80 \xf4\x90\x80\x80"),
                testing::MatchesRegex(R"([?]{2}[(][?]{2} [?]{3} [?]{4})"));
    EXPECT_EQ(printable("aé", 2), "a...");
    EXPECT_EQ(printable("日本", 3), "日...");
}

}  // namespace
}  // namespace reprise
