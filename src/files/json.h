#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace reprise {

using Json = nlohmann::json;

/// Largest JSON file that is read, in bytes, and deepest nesting.
inline constexpr std::size_t kMaxJsonBytes = std::size_t{64} << 20U;
inline constexpr std::size_t kMaxJsonDepth = 256;

/// A whole text file of at most `max_bytes`. Usage error naming the file when absent, unreadable or larger.
std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes = kMaxJsonBytes);

/// The JSON document in a file. Usage error naming the file, line and byte when it is absent, too large, too
/// deep or broken. As in Python, of equal keys the last counts, and Infinity is a number.
Json load_json(const std::filesystem::path& path);
/// The same for a text in memory, called `file` in errors.
Json parse_json(std::string_view text, std::string_view file);

/// The text of a value, on one line; broken UTF-8 becomes U+FFFD.
std::string text_of(const Json& json);

/// The value of a key as T: bool, int, int64_t, float, double, std::string, or a std::vector of int,
/// int64_t, float, double, std::string, bool, or Json itself. Integers are numbers, but not the reverse.
/// Usage error naming file, key, what was found and what was expected, also when `json` is not an object.
template <class T>
T require(const Json& json, std::string_view key, std::string_view file);
/// The same, or nothing when the key is absent or null.
template <class T>
std::optional<T> find_value(const Json& json, std::string_view key, std::string_view file);
/// True when `json` is an object that has the key; its value may be null.
bool contains(const Json& json, std::string_view key);
/// The same as `require`, or `otherwise` when the key is absent. Null is not absent: it is a usage error,
/// unless Json itself is asked for.
template <class T>
T get_or(const Json& json, std::string_view key, const T& otherwise, std::string_view file) {
    if constexpr (!std::is_same_v<T, Json>)
        if (contains(json, key)) return require<T>(json, key, file);
    return find_value<T>(json, key, file).value_or(otherwise);
}
inline std::string get_or(const Json& json, std::string_view key, const char* otherwise,
                          std::string_view file) {
    return get_or<std::string>(json, key, otherwise, file);
}

/// A list of `count` integers, or one integer that stands for all, as diffusers' configurations have it
/// ("layers_per_block": 2). Nothing when the key is absent or null.
std::optional<std::vector<std::int64_t>> find_ints(const Json& json, std::string_view key, std::size_t count,
                                                   std::string_view file);
/// The same; usage error when the key is absent or null.
std::vector<std::int64_t> require_ints(const Json& json, std::string_view key, std::size_t count,
                                       std::string_view file);

/// A JSON object and the file it is from, for errors.
struct Config {
    Json json = Json::object();
    std::string file;

    static Config load(const std::filesystem::path& path);  ///< usage error when it is not an object

    /// True when the key is there and not null.
    bool has(std::string_view key) const;
    bool is_null(std::string_view key) const;  ///< the key is there, with null
    template <class T>
    T require(std::string_view key) const {
        return reprise::require<T>(json, key, file);
    }
    template <class T>
    std::optional<T> find(std::string_view key) const {
        return reprise::find_value<T>(json, key, file);
    }
    template <class T>
    T get_or(std::string_view key, const T& otherwise) const {
        return reprise::get_or<T>(json, key, otherwise, file);
    }
    std::string get_or(std::string_view key, const char* otherwise) const {
        return reprise::get_or<std::string>(json, key, otherwise, file);
    }
    std::optional<std::vector<std::int64_t>> find_ints(std::string_view key, std::size_t count) const {
        return reprise::find_ints(json, key, count, file);
    }
    std::vector<std::int64_t> require_ints(std::string_view key, std::size_t count) const {
        return reprise::require_ints(json, key, count, file);
    }
};

}  // namespace reprise
