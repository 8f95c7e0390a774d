#include "cache_names.h"

#include <filesystem>

#include "cachify/policies.h"
#include "io/json.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"

namespace reprise::app {

std::optional<cachify::Config> cache_config(const std::string& name, pipelines::DiffusionPipeline& pipe) {
    if (name == "off") return std::nullopt;
    const bool policy = cachify::names_policy(name);
    std::error_code ignored;
    if (!policy && !name.ends_with(".json") && !std::filesystem::exists(name, ignored))
        usage_error("--cache {}: expected {}, or a JSON file with a configuration", name, cache_name_list());
    const auto graph = pipe.denoiser().structure(pipe.outlook({}).shape);
    const cachify::PolicyContext context = {pipe.denoiser().class_name(), graph,
                                            [&] { return pipe.identity(); }, pipe.folder().path()};
    return policy ? cachify::make_policy(context, name)
                  : cachify::parse_config(read_text_file(name), name, context);
}

std::string short_cache_name(const std::string& name) {
    return name.ends_with(".json") ? std::filesystem::path(name).stem().string() : name;
}

std::string cache_name_list() {
    std::string names;
    for (const auto& policy : cachify::policies()) (names += names.empty() ? "" : ", ") += policy.name;
    return names + ", off";
}

std::string describe(const cachify::Config& config) {
    std::string text;
    for (const auto& entry : config) {
        text += text.empty() ? "" : "; ";
        text += fmt::format("{} at {}", entry.wildcard_or_filter_func.text(),
                            entry.select_cache_step_func.text());
        if (entry.store != cachify::Store{}) text += fmt::format(" ({})", to_string(entry.store));
        if (entry.decide)
            text += fmt::format(", decided by {} below {}", name_of(entry.decide->probe),
                                entry.decide->threshold);
    }
    return text;
}

}  // namespace reprise::app
