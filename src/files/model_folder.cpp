#include "files/model_folder.h"

#include <array>
#include <system_error>
#include <utility>
#include <vector>

#include "files/checkpoint.h"
#include "files/printable.h"
#include "reprise/error.h"

namespace reprise {

namespace fs = std::filesystem;

namespace {

constexpr const char* kIndex = "model_index.json";

bool is_file(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
    std::error_code ignored;
    return fs::is_directory(path, ignored);
}

/// Pipeline folders at most two levels below (a hub cache keeps them as snapshots/HASH).
std::vector<fs::path> pipelines_below(const fs::path& folder, int levels = 2) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        if (!is_folder(it->path())) continue;
        if (is_file(it->path() / kIndex))
            found.push_back(it->path());
        else if (levels > 1)
            for (auto& path : pipelines_below(it->path(), levels - 1)) found.push_back(std::move(path));
        if (found.size() > 1) break;
    }
    return found;
}

/// Says why a folder without model_index.json is no pipeline, and which one was probably meant.
[[noreturn]] void refuse(const fs::path& folder) {
    const std::string name = folder.string();
    if (name.empty()) usage_error("no model folder given");
    std::error_code ignored;
    if (!fs::exists(folder, ignored))
        usage_error(
            "{}: no such folder; give a local folder in diffusers' layout (Reprise downloads nothing)", name);
    if (!is_folder(folder)) {
        if (folder.filename() == kIndex)
            usage_error("{}: is a file; give its folder: {}", name, folder.parent_path().string());
        usage_error("{}: is a file; a folder in diffusers' layout was expected", name);
    }
    const auto below = pipelines_below(folder);
    if (below.size() == 1) usage_error("{}: has no {}; did you mean {}?", name, kIndex, below[0].string());
    const fs::path parent = fs::absolute(folder).lexically_normal().parent_path();
    if (is_file(parent / kIndex))
        usage_error("{}: has no {}: it is one component of a model; give {}", name, kIndex, parent.string());
    usage_error("{}: has no {}, so it is not a model folder in diffusers' layout", name, kIndex);
}

/// The file that configures a component of this class.
const char* config_name(std::string_view class_name) {
    const auto mentions = [&](std::string_view word) {
        return class_name.find(word) != std::string_view::npos;
    };
    return mentions("Scheduler")                                   ? "scheduler_config.json"
           : mentions("Tokenizer")                                 ? "tokenizer_config.json"
           : mentions("Processor") || mentions("FeatureExtractor") ? "preprocessor_config.json"
                                                                   : "config.json";
}

/// A component's folder, or nothing where there is none.
std::optional<fs::path> folder_of(const fs::path& model, std::string_view name, std::string_view class_name) {
    if (is_folder(model / name)) return model / name;
    if (is_file(model / config_name(class_name))) return model;
    return std::nullopt;
}

/// model_index.json.
Config index_of(const fs::path& folder) {
    const fs::path file = folder / kIndex;
    if (!is_file(file)) refuse(folder);
    return Config::load(file);
}

}  // namespace

ModelFolder::ModelFolder(const fs::path& folder, ModelFolderOptions options)
    : ModelSource(index_of(folder)), path_(folder), options_(std::move(options)) {}

bool ModelFolder::has(std::string_view name) const {
    return names(name) && folder_of(path_, name, component(name).class_name);
}

fs::path ModelFolder::path(std::string_view name) const {
    const Component& named = component(name);
    const auto folder = folder_of(path_, name, named.class_name);
    if (!folder)
        usage_error("{}: the folder of component \"{}\" ({}) is missing", (path_ / name).string(), name,
                    printable(named.class_name));
    return *folder;
}

Config ModelFolder::config(std::string_view name) const {
    const std::string& type = component(name).class_name;
    const fs::path folder = path(name);
    const char* expected = config_name(type);
    if (is_file(folder / expected)) return Config::load(folder / expected);
    constexpr std::array kOthers{"config.json", "scheduler_config.json", "tokenizer_config.json",
                                 "preprocessor_config.json"};
    for (const char* other : kOthers)
        if (is_file(folder / other)) return Config::load(folder / other);
    usage_error("{}: no such file; it configures component \"{}\" ({})", (folder / expected).string(), name,
                printable(type));
}

std::shared_ptr<const WeightSource> ModelFolder::weights(std::string_view name) const {
    const Component& named = component(name);
    const Library library = named.library == "transformers" ? Library::transformers : Library::diffusers;
    return renamed(
        std::make_shared<const Checkpoint>(path(name), CheckpointOptions{options_.variant, library}),
        options_.name_rule == nullptr ? nullptr : options_.name_rule(named.class_name));
}

}  // namespace reprise
