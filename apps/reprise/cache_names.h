#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reprise/cachify.h"

namespace reprise::pipelines {
class DiffusionPipeline;
}

namespace reprise::app {

/// The configuration that --cache asks for, for a call with these options: a policy with its parameters, or a
/// JSON file. Nothing for "off". `say` hears what "auto" chose; warnings are logged. Error (usage) naming
/// what there is.
std::optional<cachify::Config> cache_config(const std::string& name, const pipelines::DiffusionPipeline& pipe,
                                            GenerateOptions options,
                                            const std::function<void(const std::string&)>& say);

/// What to call it for people: as it was asked for, but a file without its folder and extension.
std::string short_cache_name(const std::string& name);
/// The same for several, each with a name of its own, which is none of the full way's and of fewer steps':
/// of files as much of the path as that takes. Error (usage) where one is given twice.
std::vector<std::string> cache_names(const std::vector<std::string>& names);

/// The names of policies, and "off".
std::string cache_name_list();

}  // namespace reprise::app
