#include "cachify/decision_json.h"

#include <cmath>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

class Reader {
  public:
    Reader(const Json& json, const std::string& origin) : json_(json), origin_(origin) {
        if (!json.is_object()) usage_error("{}: decide is {}; expected an object", origin, json.type_name());
    }

    Decision read() {
        Decision result;
        for (const auto& [key, value] : json_.items()) {
            key_ = &key;
            if (key == "probe")
                result.probe = decision_probe(text(value));
            else if (key == "first")
                result.first = text(value);
            else if (key == "last")
                result.last = text(value);
            else if (key == "threshold")
                result.threshold = value >= 0 ? number(value) : wrong<double>(value, "0 or more");
            else if (key == "accumulate")
                result.accumulate =
                    value.is_boolean() ? value.get<bool>() : wrong<bool>(value, "true or false");
            else if (key == "polynomial")
                result.polynomial = numbers(value);
            else if (key == "table")
                result.table = numbers(value);
            else if (key == "warm_up")
                result.warm_up = whole(value);
            else if (key == "cool_down")
                result.cool_down = whole(value);
            else if (key == "most_in_a_row")
                result.most_in_a_row = whole(value);
            else if (key == "most_in_all")
                result.most_in_all = whole(value);
            else if (key == "replay")
                result.replay = lists(value);
            else
                usage_error("{}: decide has an unknown key '{}'", origin_, printable(key));
        }
        return result;
    }

  private:
    template <class T>
    [[noreturn]] T wrong(const Json& value, const char* expected) const {
        usage_error("{}: decide: {} is {}; expected {}", origin_, *key_, printable(text_of(value)), expected);
    }
    std::string text(const Json& value) const {
        return value.is_string() ? value.get<std::string>() : wrong<std::string>(value, "a text");
    }
    double number(const Json& value) const {
        return value.is_number() && std::isfinite(value.get<double>()) ? value.get<double>()
                                                                       : wrong<double>(value, "a number");
    }
    int whole(const Json& value) const {
        return value.is_number_unsigned() && value <= 1'000'000 ? value.get<int>()
                                                                : wrong<int>(value, "a whole number");
    }
    std::vector<double> numbers(const Json& value) const {
        std::vector<double> result;
        if (!value.is_array()) wrong<int>(value, "a list of numbers");
        for (const auto& item : value) result.push_back(number(item));
        return result;
    }
    std::vector<std::vector<int>> lists(const Json& value) const {
        std::vector<std::vector<int>> result;
        if (!value.is_array()) wrong<int>(value, "a list of steps for each picture");
        for (const auto& picture : value) {
            if (!picture.is_array()) wrong<int>(value, "a list of steps for each picture");
            auto& steps = result.emplace_back();
            for (const auto& step : picture) steps.push_back(whole(step));
        }
        return result;
    }

    const Json& json_;
    const std::string& origin_;
    const std::string* key_ = nullptr;
};

}  // namespace

Decision decision_from(const Json& json, const std::string& origin) {
    return Reader(json, origin).read();
}

Json to_json(const Decision& decision) {
    const Decision plain;
    Json json = {{"probe", name_of(decision.probe)}, {"threshold", decision.threshold}};
    const auto add = [&](const char* key, const auto& value, const auto& otherwise) {
        if (value != otherwise) json[key] = value;
    };
    add("first", decision.first, plain.first);
    add("last", decision.last, plain.last);
    add("accumulate", decision.accumulate, plain.accumulate);
    add("polynomial", decision.polynomial, plain.polynomial);
    add("table", decision.table, plain.table);
    add("warm_up", decision.warm_up, plain.warm_up);
    add("cool_down", decision.cool_down, plain.cool_down);
    add("most_in_a_row", decision.most_in_a_row, plain.most_in_a_row);
    add("most_in_all", decision.most_in_all, plain.most_in_all);
    add("replay", decision.replay, plain.replay);
    return json;
}

}  // namespace reprise::cachify
