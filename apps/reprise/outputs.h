#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "files/atomic_file.h"
#include "reprise/image.h"
#include "reprise/tensor.h"

namespace reprise::app {

/// Of a file's name, such as ".png".
std::string lower_extension(const std::filesystem::path& path);
/// Error (usage) unless a file can be made there: its folder exists and may be written, and it is no folder.
void check_writable(const std::filesystem::path& path);
/// The same for a picture, whose name has to end in .png or .webp.
void check_picture_path(const std::filesystem::path& path);

/// The files of several pictures from one name: "{n}" becomes the number from 1, "{seed}" the seed; several
/// pictures and no "{n}" put the number before the extension ("apple-3.png").
std::vector<std::filesystem::path> picture_paths(const std::string& pattern, std::size_t count,
                                                 std::uint64_t seed);

/// Error (usage) where two of these files, of which empty names are none, are one.
void check_distinct(const std::vector<std::filesystem::path>& paths);

/// Files that appear together at `commit`, or not at all when writing one of them fails.
class Outputs {
  public:
    void add(const std::filesystem::path& path, const Image& image, const ImageText& text);
    void add(const std::filesystem::path& path, std::string_view content);
    /// A safetensors file with this one tensor.
    void add(const std::filesystem::path& path, const std::string& name, const Tensor& tensor);
    void commit();
    const std::vector<std::string>& names() const { return names_; }

  private:
    AtomicFile& open(const std::filesystem::path& path);
    std::vector<std::unique_ptr<AtomicFile>> files_;
    std::vector<std::string> names_;
};

/// Each on a line of its own.
std::string lines(const std::vector<std::string>& texts);
/// A document with an end of line; broken UTF-8 becomes U+FFFD.
std::string json_text(const nlohmann::ordered_json& json, int indent = 2);

/// Prints to stdout; failure when it cannot take the text (a full disk behind it).
void print(std::string_view text);

}  // namespace reprise::app
