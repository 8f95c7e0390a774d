#include "models/config_checks.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "io/printable.h"
#include "reprise/error.h"

namespace reprise::models {

using graph::Unary;

void check_shape(std::string_view what, std::int64_t batch, std::int64_t height, std::int64_t width) {
    if (batch < 1 || batch > kMaxBatch || height < 1 || height > kMaxSide || width < 1 || width > kMaxSide)
        usage_error("{} of {} x {} in batches of {} cannot be computed; sides go from 1 to {}, batches to {}",
                    what, height, width, batch, kMaxSide, kMaxBatch);
}

void check_range(const Config& config, std::string_view key, std::int64_t value, std::int64_t low,
                 std::int64_t high) {
    if (value < low || value > high)
        usage_error("{}: \"{}\" is {}, expected {} to {}", config.file, key, value, low, high);
}

std::int64_t get_size(const Config& config, std::string_view key, std::int64_t otherwise, std::int64_t high) {
    const auto value = config.get_or<std::int64_t>(key, otherwise);
    check_range(config, key, value, 1, high);
    return value;
}

std::vector<std::int64_t> get_sizes(const Config& config, std::string_view key, std::size_t count,
                                    std::int64_t otherwise, std::int64_t high) {
    auto values = config.find_ints(key, count).value_or(std::vector<std::int64_t>(count, otherwise));
    for (const auto value : values) check_range(config, key, value, 1, high);
    return values;
}

void unsupported(const Config& config, std::string_view key, std::string_view supported) {
    const auto found = config.json.find(key);
    usage_error("{}: \"{}\" is {}, which Reprise does not support; supported: {}", config.file, key,
                found == config.json.end() ? "missing" : printable(text_of(*found)), supported);
}

void support_only(const Config& config, std::string_view key, const Json& only) {
    if (config.has(key) && config.json.at(std::string(key)) != only)
        unsupported(config, key, only.is_null() ? "null" : only.dump());
}

Unary get_activation(const Config& config, std::string_view key, const char* otherwise) {
    constexpr std::array<std::pair<std::string_view, Unary>, 8> kActivations = {{
        {"silu", Unary::silu},
        {"swish", Unary::silu},
        {"gelu", Unary::gelu},
        {"gelu_new", Unary::gelu_tanh},
        {"gelu_pytorch_tanh", Unary::gelu_tanh},
        {"quick_gelu", Unary::quick_gelu},
        {"relu", Unary::relu},
        {"tanh", Unary::tanh},
    }};
    std::string name = config.get_or(key, otherwise);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string known;
    for (const auto& [known_name, function] : kActivations) {
        if (known_name == name) return function;
        known += known.empty() ? "" : ", ";
        known += known_name;
    }
    unsupported(config, key, known);
}

void warn_of_unknown_keys(const Config& config, std::span<const std::string_view> known) {
    for (const auto& [key, value] : config.json.items())
        if (!key.starts_with('_') && std::find(known.begin(), known.end(), key) == known.end())
            spdlog::warn("{}: \"{}\" is not a known key and has no effect", config.file, printable(key));
}

}  // namespace reprise::models
