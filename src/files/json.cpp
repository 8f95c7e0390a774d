#include "files/json.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <system_error>

#include "files/json_builder.h"
#include "files/printable.h"
#include "reprise/error.h"

namespace reprise {

namespace fs = std::filesystem;

std::string read_text_file(const fs::path& path, std::size_t max_bytes) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (!fs::exists(status)) usage_error("{}: no such file", path.string());
    if (!fs::is_regular_file(status)) usage_error("{}: not a file", path.string());
    std::ifstream stream(path, std::ios::binary);
    if (!stream) usage_error("{}: cannot be read: {}", path.string(), std::generic_category().message(errno));
    const auto size = fs::file_size(path, error);
    if (error) failure("{}: cannot be read: {}", path.string(), error.message());
    if (size > max_bytes) usage_error("{}: {} bytes, expected at most {}", path.string(), size, max_bytes);
    std::string text(static_cast<std::size_t>(size), '\0');
    stream.read(text.data(), static_cast<std::streamsize>(size));
    if (stream.gcount() != static_cast<std::streamsize>(size))
        failure("{}: only {} of {} bytes could be read", path.string(), stream.gcount(), size);
    return text;
}

void broken_json(std::string_view text, std::string_view file, std::size_t position,
                 std::string_view reason) {
    const auto before = text.substr(0, std::min(position, text.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    usage_error("{}: broken JSON at line {}, byte {}: {}", file, line, position, printable(reason, 200));
}

bool JsonBuilder::add(Json value) {
    if (open_.empty())
        root_ = std::move(value);
    else if (open_.back()->is_array())
        open_.back()->push_back(std::move(value));
    else
        *member_ = std::move(value);
    return true;
}

bool JsonBuilder::open(Json container) {
    if (open_.size() == kMaxJsonDepth)
        usage_error("{}: JSON nested deeper than {} levels", file_, kMaxJsonDepth);
    const bool in_array = !open_.empty() && open_.back()->is_array();
    add(std::move(container));
    open_.push_back(open_.empty() ? &root_ : in_array ? &open_.back()->back() : member_);
    return true;
}

bool JsonBuilder::close() {
    open_.pop_back();
    return true;
}

bool JsonBuilder::key(string_t& value) {
    member_ = &(*open_.back())[value];
    return true;
}

bool JsonBuilder::parse_error(std::size_t position, const std::string&,
                              const nlohmann::detail::exception& error) {
    std::string_view reason = error.what();  // "[json.exception...] parse error at line 1, column 2: REASON"
    if (const auto colon = reason.find(": "); colon != std::string_view::npos)
        reason.remove_prefix(colon + 2);
    broken_json(text_, file_, position, reason);
}

namespace {

/// How an infinity is spelt for nlohmann's parser, which knows no such number: as long as "Infinity".
constexpr std::string_view kInfinity = "1.79E308";

/// The text with Python's Infinity (diffusers writes "lambda_min_clipped": -Infinity) spelt kInfinity.
std::string spell_infinities(std::string text) {
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (in_string && text[i] == '\\')
            ++i;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && text.compare(i, kInfinity.size(), "Infinity") == 0)
            text.replace(i, kInfinity.size(), kInfinity);
    }
    return text;
}

}  // namespace

bool JsonBuilder::number_float(number_float_t value, const string_t& token) {
    constexpr double kInfinite = std::numeric_limits<double>::infinity();
    if (token == kInfinity) return add(kInfinite);
    if (token.size() == kInfinity.size() + 1 && token.ends_with(kInfinity)) return add(-kInfinite);
    return add(value);
}

Json parse_json(std::string_view text, std::string_view file) {
    // nlohmann's lexer takes a zero byte for the end of the text.
    if (const auto zero = text.find('\0'); zero != std::string_view::npos)
        broken_json(text, file, zero + 1, "a zero byte");
    std::string respelt;
    if (text.find("Infinity") != std::string_view::npos) text = respelt = spell_infinities(std::string(text));
    JsonBuilder builder(text, file);
    if (!Json::sax_parse(text.begin(), text.end(), &builder)) usage_error("{}: broken JSON", file);
    return builder.take();
}

std::string text_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json load_json(const fs::path& path) {
    return parse_json(read_text_file(path), path.string());
}

namespace {

/// What to call each type in an error.
template <class T>
constexpr std::string_view kExpected = "";
template <>
constexpr std::string_view kExpected<bool> = "true or false";
template <>
constexpr std::string_view kExpected<int> = "an integer of 32 bits";
template <>
constexpr std::string_view kExpected<std::int64_t> = "an integer";
template <>
constexpr std::string_view kExpected<float> = "a number";
template <>
constexpr std::string_view kExpected<double> = "a number";
template <>
constexpr std::string_view kExpected<std::string> = "a string";
template <>
constexpr std::string_view kExpected<std::vector<bool>> = "a list of true and false";
template <>
constexpr std::string_view kExpected<std::vector<int>> = "a list of integers of 32 bits";
template <>
constexpr std::string_view kExpected<std::vector<std::int64_t>> = "a list of integers";
template <>
constexpr std::string_view kExpected<std::vector<float>> = "a list of numbers";
template <>
constexpr std::string_view kExpected<std::vector<double>> = "a list of numbers";
template <>
constexpr std::string_view kExpected<std::vector<std::string>> = "a list of strings";

/// The value as T, nothing when it is not one.
template <class T>
struct Converter;

template <>
struct Converter<Json> {
    static std::optional<Json> convert(const Json& value) { return value; }
};
template <>
struct Converter<bool> {
    static std::optional<bool> convert(const Json& value) {
        return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
    }
};
template <>
struct Converter<std::int64_t> {
    static std::optional<std::int64_t> convert(const Json& value) {
        if (!value.is_number_integer()) return std::nullopt;
        constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        if (value.is_number_unsigned() && value.get<std::uint64_t>() > kMax) return std::nullopt;
        return value.get<std::int64_t>();
    }
};
template <>
struct Converter<int> {
    static std::optional<int> convert(const Json& value) {
        const auto wide = Converter<std::int64_t>::convert(value);
        if (!wide || *wide < std::numeric_limits<int>::min() || *wide > std::numeric_limits<int>::max())
            return std::nullopt;
        return static_cast<int>(*wide);
    }
};
template <>
struct Converter<double> {
    static std::optional<double> convert(const Json& value) {
        return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
    }
};
template <>
struct Converter<float> {
    static std::optional<float> convert(const Json& value) {
        const auto wide = Converter<double>::convert(value);
        if (!wide || (std::isfinite(*wide) && std::abs(*wide) > std::numeric_limits<float>::max()))
            return std::nullopt;
        return static_cast<float>(*wide);
    }
};
template <>
struct Converter<std::string> {
    static std::optional<std::string> convert(const Json& value) {
        return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
    }
};
template <class T>
struct Converter<std::vector<T>> {
    static std::optional<std::vector<T>> convert(const Json& value) {
        if (!value.is_array()) return std::nullopt;
        std::vector<T> result;
        for (const auto& element : value) {
            auto converted = Converter<T>::convert(element);
            if (!converted) return std::nullopt;
            result.push_back(std::move(*converted));
        }
        return result;
    }
};

void check_object(const Json& json, std::string_view key, std::string_view file) {
    if (!json.is_object())
        usage_error("{}: a JSON object with \"{}\" was expected, found {}", file, key,
                    printable(text_of(json)));
}

/// The value of a key that is there and not null, else nothing.
const Json* value_of(const Json& json, std::string_view key, std::string_view file) {
    check_object(json, key, file);
    const auto found = json.find(key);
    return found == json.end() || found->is_null() ? nullptr : &*found;
}

[[noreturn]] void wrong_value(const Json& found, std::string_view key, std::string_view file,
                              std::string_view expected) {
    usage_error("{}: \"{}\" is {}, expected {}", file, printable(key), printable(text_of(found)), expected);
}

[[noreturn]] void absent(const Json& json, std::string_view key, std::string_view file,
                         std::string_view expected) {
    usage_error("{}: \"{}\" is {}, expected {}", file, printable(key),
                json.contains(key) ? "null" : "missing", expected);
}

}  // namespace

template <class T>
std::optional<T> find_value(const Json& json, std::string_view key, std::string_view file) {
    const Json* value = value_of(json, key, file);
    if (value == nullptr) return std::nullopt;
    auto converted = Converter<T>::convert(*value);
    if (!converted) wrong_value(*value, key, file, kExpected<T>);
    return converted;
}

template <class T>
T require(const Json& json, std::string_view key, std::string_view file) {
    auto value = find_value<T>(json, key, file);
    if (!value) absent(json, key, file, std::is_same_v<T, Json> ? "a value" : kExpected<T>);
    return std::move(*value);
}

#define REPRISE_INSTANTIATE(T)                                                                \
    template std::optional<T> find_value<T>(const Json&, std::string_view, std::string_view); \
    template T require<T>(const Json&, std::string_view, std::string_view);
REPRISE_INSTANTIATE(Json)
REPRISE_INSTANTIATE(bool)
REPRISE_INSTANTIATE(int)
REPRISE_INSTANTIATE(std::int64_t)
REPRISE_INSTANTIATE(float)
REPRISE_INSTANTIATE(double)
REPRISE_INSTANTIATE(std::string)
REPRISE_INSTANTIATE(std::vector<bool>)
REPRISE_INSTANTIATE(std::vector<int>)
REPRISE_INSTANTIATE(std::vector<std::int64_t>)
REPRISE_INSTANTIATE(std::vector<float>)
REPRISE_INSTANTIATE(std::vector<double>)
REPRISE_INSTANTIATE(std::vector<std::string>)
#undef REPRISE_INSTANTIATE

std::optional<std::vector<std::int64_t>> find_ints(const Json& json, std::string_view key, std::size_t count,
                                                   std::string_view file) {
    const Json* value = value_of(json, key, file);
    if (value == nullptr) return std::nullopt;
    if (const auto single = Converter<std::int64_t>::convert(*value))
        return std::vector<std::int64_t>(count, *single);
    auto list = Converter<std::vector<std::int64_t>>::convert(*value);
    if (!list || list->size() != count)
        wrong_value(*value, key, file, fmt::format("an integer or a list of {} integers", count));
    return list;
}

std::vector<std::int64_t> require_ints(const Json& json, std::string_view key, std::size_t count,
                                       std::string_view file) {
    auto list = find_ints(json, key, count, file);
    if (!list) absent(json, key, file, fmt::format("an integer or a list of {} integers", count));
    return std::move(*list);
}

Config Config::load(const fs::path& path) {
    Config config{load_json(path), path.string()};
    if (!config.json.is_object()) usage_error("{}: a JSON object was expected", config.file);
    return config;
}

bool contains(const Json& json, std::string_view key) {
    return json.is_object() && json.contains(key);
}

bool Config::has(std::string_view key) const {
    const auto found = json.find(key);
    return found != json.end() && !found->is_null();
}

bool Config::is_null(std::string_view key) const {
    const auto found = json.find(key);
    return found != json.end() && found->is_null();
}

}  // namespace reprise
