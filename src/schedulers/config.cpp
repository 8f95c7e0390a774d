#include "schedulers/config.h"

#include <cstdint>

#include "reprise/error.h"

namespace reprise {

SchedulerConfig::SchedulerConfig(const nlohmann::json& values, std::string_view class_name,
                                 std::string_view source)
    : values_(values), where_(fmt::format("{}: {}", source, class_name)) {
    if (!values.is_object()) usage_error("{}: expected a JSON object, found {}", where_, values.type_name());
}

const nlohmann::json* SchedulerConfig::find(const char* key) const {
    const auto entry = values_.find(key);
    return entry == values_.end() ? nullptr : &*entry;
}

void SchedulerConfig::refuse(const char* key, std::string_view why) const {
    const auto* value = find(key);
    std::string shown =
        value == nullptr ? "missing" : value->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
    usage_error("{}: {} is {}: {}", where_, key, shown, why);
}

void SchedulerConfig::refuse_flags(std::initializer_list<const char*> keys) const {
    for (const char* key : keys)
        if (flag(key, false)) refuse(key, "not supported; set it to false or choose another scheduler");
}

bool SchedulerConfig::flag(const char* key, bool fallback) const {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    if (value->is_null()) return false;  // as Python's None
    if (!value->is_boolean()) refuse(key, "expected true or false");
    return value->get<bool>();
}

bool SchedulerConfig::exclusive_flag(const char* key) const {
    const auto* value = find(key);
    if (value != nullptr && value->is_null()) refuse(key, "expected true or false");
    return flag(key, false);
}

int SchedulerConfig::integer(const char* key, int fallback, int least, int most) const {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    const bool too_big = value->is_number_unsigned() && value->get<std::uint64_t>() > 0x7fffffffU;
    if (!value->is_number_integer() || too_big || value->get<std::int64_t>() < least ||
        value->get<std::int64_t>() > most)
        refuse(key, fmt::format("expected a whole number from {} to {}", least, most));
    return value->get<int>();
}

double SchedulerConfig::number(const char* key, double fallback) const {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number()) refuse(key, "expected a number");
    return value->get<double>();
}

std::optional<double> SchedulerConfig::optional_number(const char* key) const {
    const auto* value = find(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    return number(key, 0.0);
}

std::optional<std::vector<double>> SchedulerConfig::optional_numbers(const char* key) const {
    const auto* value = find(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (!value->is_array()) refuse(key, "expected a list of numbers");
    std::vector<double> numbers;
    for (const auto& item : *value) {
        if (!item.is_number()) refuse(key, "expected a list of numbers");
        numbers.push_back(item.get<double>());
    }
    return numbers;
}

std::optional<std::string> SchedulerConfig::optional_text(const char* key) const {
    const auto* value = find(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    return text(key, "");
}

std::string SchedulerConfig::text(const char* key, std::string_view fallback) const {
    const auto* value = find(key);
    if (value == nullptr) return std::string(fallback);
    if (!value->is_string()) refuse(key, "expected a string");
    return value->get<std::string>();
}

}  // namespace reprise
