// The one list of what --cache knows by name.
#include "cache_names.h"

#include <array>
#include <filesystem>

#include "cachify/schedule.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"

namespace reprise::app {

namespace {

using Made = std::optional<cachify::Config>;

struct CacheName {
    std::string_view name;
    Made (*make)(pipelines::DiffusionPipeline& pipe);
};

constexpr std::array kNames{
    CacheName{"default",
              [](pipelines::DiffusionPipeline& pipe) -> Made {
                  auto& denoiser = pipe.denoiser();
                  return cachify::default_config(denoiser.class_name(),
                                                 denoiser.structure(pipe.outlook({}).shape));
              }},
    CacheName{"pixart-original",
              [](pipelines::DiffusionPipeline& pipe) -> Made {
                  if (const auto& found = pipe.denoiser().class_name(); found != "PixArtTransformer2DModel")
                      usage_error("--cache pixart-original is for PixArt; this model's denoiser is a {}",
                                  found);
                  return cachify::PIXART_ORIGINAL_EXAMPLE_CONFIG;
              }},
    CacheName{"off", [](pipelines::DiffusionPipeline&) -> Made { return std::nullopt; }},
};

}  // namespace

std::optional<cachify::Config> cache_config(const std::string& name, pipelines::DiffusionPipeline& pipe) {
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
