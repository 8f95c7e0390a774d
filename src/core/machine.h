#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>

namespace reprise::machine {

// What this process may use. The machine's limits and those of every control group that the process is in
// (Linux, versions 1 and 2, ancestors included), whichever is least. `root` is where /proc and /sys are;
// tests have others.

/// Bytes of memory that can still be had without swapping; nothing where the system does not say.
std::optional<double> available_bytes(const std::filesystem::path& root = "/");

/// Bytes of memory that this process holds; nothing where the system does not say.
std::optional<double> resident_bytes();

/// Processors that can be kept busy, at least 1: what is left of `online` by control groups' quotas, rounded
/// up. `online` is by default what the system schedules this process on.
std::size_t processors(const std::filesystem::path& root = "/", std::size_t online = 0);

/// Memory mappings that the process has, and the most that it may have. Beyond that, allocations and
/// generated code fail wherever they are. Nothing where the system does not say.
std::optional<std::size_t> mappings();
std::optional<std::size_t> most_mappings();

}  // namespace reprise::machine
