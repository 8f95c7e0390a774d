// The one list of what --cache knows by name.
#include "cache_names.h"

#include <array>
#include <filesystem>

#include "cachify/schedule.h"
#include "pipelines/text_to_image.h"
#include "reprise/error.h"

namespace reprise::app {

namespace {

using Made = std::optional<cachify::Config>;

struct CacheName {
    std::string_view name;
    Made (*make)(pipelines::TextToImage& pipe);
};

constexpr std::array kNames{
    CacheName{"default",
              [](pipelines::TextToImage& pipe) -> Made {
                  auto& denoiser = pipe.denoiser();
                  const auto shape = pipe.outlook({}).shape;
                  return cachify::default_config(
                      denoiser.class_name(),
                      denoiser.structure({1, shape.height, shape.width, shape.text_tokens}));
              }},
    CacheName{"off", [](pipelines::TextToImage&) -> Made { return std::nullopt; }},
};

}  // namespace

std::optional<cachify::Config> cache_config(const std::string& name, pipelines::TextToImage& pipe) {
    for (const auto& known : kNames)
        if (name == known.name) return known.make(pipe);
    std::error_code ignored;
    if (!name.ends_with(".json") && !std::filesystem::exists(name, ignored))
        usage_error("--cache {}: expected {}, or a JSON file with a configuration", name, cache_name_list());
    return cachify::load_config(name);
}

std::string cache_name_list() {
    std::string names;
    for (const auto& known : kNames) (names += names.empty() ? "" : ", ") += known.name;
    return names;
}

std::string describe(const cachify::Config& config) {
    std::string text;
    for (const auto& entry : config) {
        text += text.empty() ? "" : "; ";
        text += fmt::format("{} at {}", entry.wildcard_or_filter_func.text(),
                            entry.select_cache_step_func.text());
        if (entry.store != cachify::Store{}) text += fmt::format(" ({})", to_string(entry.store));
    }
    return text;
}

}  // namespace reprise::app
