#include "outputs.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>
#include <system_error>

#include "files/safetensors.h"
#include "media/image_codec.h"
#include "reprise/error.h"

namespace reprise::app {

namespace fs = std::filesystem;

std::string lower_extension(const fs::path& path) {
    std::string extension = path.extension().string();
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return extension;
}

void check_writable(const fs::path& path) {
    std::error_code ignored;
    if (path.filename().empty() || fs::is_directory(path, ignored))
        usage_error("cannot write {}: it is a folder; give the name of a file", path.string());
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (!fs::is_directory(folder, ignored))
        usage_error("cannot write {}: the folder {} does not exist", path.string(), folder.string());
    const auto status = fs::status(path, ignored);
    const bool device = fs::exists(status) && !fs::is_regular_file(status);
    if (device ? ::access(path.c_str(), W_OK) != 0 : ::access(folder.c_str(), W_OK | X_OK) != 0)
        usage_error("cannot write {}: {}{}", path.string(), std::generic_category().message(errno),
                    device ? "" : fmt::format(" (the folder {})", folder.string()));
}

void check_picture_path(const fs::path& path) {
    const std::string extension = lower_extension(path);
    if (extension != ".png" && extension != ".webp")
        usage_error("{}: pictures are saved as .png or .webp, not as \"{}\"", path.string(), extension);
    check_writable(path);
}

std::vector<fs::path> picture_paths(const std::string& pattern, std::size_t count, std::uint64_t seed) {
    const auto replaced = [](std::string text, std::string_view mark, const std::string& value) {
        for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
            text.replace(at, mark.size(), value);
        return text;
    };
    const std::string seeded = replaced(pattern, "{seed}", std::to_string(seed));
    const auto digits = std::to_string(count).size();
    std::vector<fs::path> paths;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string number = fmt::format("{:0{}}", i + 1, digits);
        if (seeded.find("{n}") != std::string::npos || count == 1) {
            paths.emplace_back(replaced(seeded, "{n}", number));
            continue;
        }
        const fs::path path = seeded;
        paths.push_back(path.parent_path() /
                        fmt::format("{}-{}{}", path.stem().string(), number, path.extension().string()));
    }
    return paths;
}

void check_distinct(const std::vector<fs::path>& paths) {
    std::set<fs::path> places;
    std::error_code ignored;
    for (const fs::path& path : paths)
        if (!path.empty() && !places.insert(fs::weakly_canonical(path, ignored)).second)
            usage_error("{}: two outputs have this name; give each one of its own", path.string());
}

AtomicFile& Outputs::open(const fs::path& path) {
    files_.push_back(std::make_unique<AtomicFile>(path));
    names_.push_back(path.string());
    return *files_.back();
}

void Outputs::add(const fs::path& path, const Image& image, const ImageText& text) {
    const bool png = lower_extension(path) == ".png";
    open(path).write(png ? encode_png(image, text, path.string()) : encode_webp(image, text, path.string()));
}

void Outputs::add(const fs::path& path, std::string_view content) {
    open(path).write(content);
}

void Outputs::add(const fs::path& path, const std::string& name, const Tensor& tensor) {
    const auto layout = lay_out_safetensors({{name, tensor.type(), tensor.shape(), 0}}, {{"format", "pt"}});
    AtomicFile& file = open(path);
    file.write(layout.header);
    file.write(std::string(layout.items.front().offset - layout.header.size(), '\0'));
    file.write({static_cast<const std::byte*>(tensor.data()), tensor.bytes()});
}

void Outputs::commit() {
    for (const auto& file : files_) file->commit();
    files_.clear();
}

std::string lines(const std::vector<std::string>& texts) {
    std::string all;
    for (const auto& text : texts) all += text + "\n";
    return all;
}

std::string json_text(const nlohmann::ordered_json& json, int indent) {
    return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void print(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
        failure("cannot write to standard output: {}", std::generic_category().message(errno));
}

}  // namespace reprise::app
