#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise {

/// Typed reading of a scheduler's configuration. A missing key has the default of diffusers' class, given
/// by the caller; a value of another type or out of range, and null where diffusers cannot do with None, is a
/// usage error that names file, class and key. Keys of diffusers' other schedulers are ignored, as there.
class SchedulerConfig {
  public:
    /// `values` must be an object and outlive this. `source` names the file.
    SchedulerConfig(const nlohmann::json& values, std::string_view class_name, std::string_view source);

    /// The value as it stands; null pointer when the key is missing.
    const nlohmann::json* find(const char* key) const;
    bool flag(const char* key, bool fallback) const;  ///< null is false, as Python's None
    /// One of several of which at most one may be set. diffusers adds them up, so that null is an error.
    bool exclusive_flag(const char* key) const;
    int integer(const char* key, int fallback, int least, int most) const;
    double number(const char* key, double fallback) const;
    /// Nothing when the key is missing or null.
    std::optional<double> optional_number(const char* key) const;
    std::optional<std::vector<double>> optional_numbers(const char* key) const;
    std::optional<std::string> optional_text(const char* key) const;
    template <class T>
    T choice(const char* key, std::string_view fallback,
             std::initializer_list<std::pair<std::string_view, T>> choices) const {
        const std::string text = this->text(key, fallback);
        std::string names;
        for (const auto& [name, value] : choices) {
            if (name == text) return value;
            names += names.empty() ? "" : ", ";
            names += name;
        }
        refuse(key, "supported are " + names);
    }

    /// Usage error: the key's value is not supported, and why or what is.
    [[noreturn]] void refuse(const char* key, std::string_view why) const;
    /// "file: class", for other errors.
    const std::string& where() const { return where_; }
    /// Refuses each of these flags that is set.
    void refuse_flags(std::initializer_list<const char*> keys) const;

  private:
    std::string text(const char* key, std::string_view fallback) const;

    const nlohmann::json& values_;
    std::string where_;
};

}  // namespace reprise
