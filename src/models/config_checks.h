#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "files/json.h"
#include "graph/op.h"

namespace reprise::models {

/// Bounds on what a config.json or a caller may ask for, far above any published model: they keep products
/// of sizes from overflowing and graphs from filling the memory.
inline constexpr std::int64_t kMaxWidth = 1 << 16;  ///< channels, features
inline constexpr std::int64_t kMaxDepth = 256;      ///< layers of one kind
inline constexpr std::int64_t kMaxSide = 1 << 16;   ///< pixels, latents or tokens along one axis
inline constexpr std::int64_t kMaxBatch = 1 << 10;

/// Usage error naming `what` when a batch of that size is not within these bounds or is empty.
void check_shape(std::string_view what, std::int64_t batch, std::int64_t height, std::int64_t width);

/// Usage error naming file, key and value when that is not in [low, high].
void check_range(const Config& config, std::string_view key, std::int64_t value, std::int64_t low,
                 std::int64_t high);
/// A positive integer of at most `high`; `otherwise` when the key is absent.
std::int64_t get_size(const Config& config, std::string_view key, std::int64_t otherwise,
                      std::int64_t high = kMaxWidth);
/// `count` positive integers of at most `high`, or one for all; `otherwise` when the key is absent.
std::vector<std::int64_t> get_sizes(const Config& config, std::string_view key, std::size_t count,
                                    std::int64_t otherwise, std::int64_t high = kMaxWidth);

/// Usage error that quotes the key's value and says what is supported instead.
[[noreturn]] void unsupported(const Config& config, std::string_view key, std::string_view supported);
/// Calls `unsupported` unless the key is absent or equal to `only`. Where that is false, null will do, as in
/// Python.
void support_only(const Config& config, std::string_view key, const Json& only);
/// The same for one of several values.
void support_one_of(const Config& config, std::string_view key, std::initializer_list<Json> these);
/// A flag; `otherwise` when the key is absent. Null is false, as Python's None where it is only asked for
/// truth.
bool get_flag(const Config& config, std::string_view key, bool otherwise);
/// Usage error unless the key is absent or a probability: diffusers cannot make its layers otherwise. It has
/// no effect.
void check_dropout(const Config& config, std::string_view key);

/// The function of a diffusers or transformers name such as "silu", "gelu", "quick_gelu", the key's value.
graph::Unary get_activation(const Config& config, std::string_view key, const char* otherwise);

/// The object of a part ("text_config") inside a whole model's configuration, or the whole where it has none.
Config part_of(const Config& whole, std::string_view part);

/// Warns of keys that are not in `known` (those with a leading '_' aside): they have no effect.
void warn_of_unknown_keys(const Config& config, std::span<const std::string_view> known);
/// The same for a configuration of transformers', which has keys of every kind of model: those count as
/// known.
void warn_of_unknown_transformers_keys(const Config& config, std::span<const std::string_view> known);

}  // namespace reprise::models
