#pragma once

#include <optional>
#include <string>

#include "reprise/cachify.h"

namespace reprise::pipelines {
class DiffusionPipeline;
}

namespace reprise::app {

/// The configuration that --cache asks for: a policy with its parameters, or a JSON file. Nothing for
/// "off". Error (usage) naming what there is.
std::optional<cachify::Config> cache_config(const std::string& name, pipelines::DiffusionPipeline& pipe);

/// What to call it for people: as it was asked for, but a file without its folder and extension.
std::string short_cache_name(const std::string& name);

/// The names of policies, and "off".
std::string cache_name_list();

/// A configuration on one line, for people: its entries in their JSON form.
std::string describe(const cachify::Config& config);

}  // namespace reprise::app
