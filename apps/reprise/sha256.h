#pragma once

#include <filesystem>
#include <string>

namespace reprise::app {

/// SHA-256 of a file, as sha256sum prints it. Error (usage) naming the file where it cannot be read.
std::string sha256_of(const std::filesystem::path& file);

}  // namespace reprise::app
