#include "cache_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <map>
#include <set>

#include "cachify/policies.h"
#include "compare/bout.h"
#include "files/json.h"
#include "options/row.h"
#include "pipelines/policy_view.h"
#include "reprise/error.h"

namespace reprise::app {

std::optional<cachify::Config> cache_config(const std::string& name, const pipelines::DiffusionPipeline& pipe,
                                            GenerateOptions options,
                                            const std::function<void(const std::string&)>& say) {
    if (name == "off") return std::nullopt;
    const bool policy = cachify::names_policy(name);
    std::error_code ignored;
    if (!policy && !name.ends_with(".json") && !std::filesystem::exists(name, ignored))
        usage_error("--cache {}: expected {}, or a JSON file with a configuration", name, cache_name_list());
    options.on_message = [&say](const Message& message) {
        if (message.level == Message::Level::info)
            say(message.text);
        else
            spdlog::warn("{}", message.text);
    };
    const pipelines::PolicyView view(pipe, options);
    return policy ? cachify::make_policy(view.context(), name)
                  : cachify::parse_config(read_text_file(name), name, view.context());
}

std::string short_cache_name(const std::string& name) {
    return name.ends_with(".json") ? std::filesystem::path(name).stem().string() : name;
}

namespace {

/// What a configuration may be called, the shortest first: of a file its name, with folders, as it was given.
std::vector<std::string> forms_of(const std::string& name) {
    if (!name.ends_with(".json")) return {name};
    std::filesystem::path path = name;
    std::string form = short_cache_name(name);
    std::vector<std::string> forms = {form};
    for (path = path.parent_path(); path.has_filename(); path = path.parent_path())
        forms.push_back(form = fmt::format("{}/{}", path.filename().string(), form));
    forms.push_back(name);
    return forms;
}

}  // namespace

std::vector<std::string> cache_names(const std::vector<std::string>& names) {
    std::set<std::filesystem::path> given;
    std::vector<std::vector<std::string>> forms;
    for (const auto& name : names) {
        if (!given.insert(std::filesystem::path(name).lexically_normal()).second)
            usage_error("--cache {}: given twice", name);
        forms.push_back(forms_of(name));
    }
    std::vector<std::string> chosen;
    for (bool clash = true; clash;) {
        std::map<std::string, int> count;
        chosen.clear();
        for (const auto& one : forms) ++count[chosen.emplace_back(one.front())];
        clash = false;
        for (std::size_t i = 0; i < forms.size(); ++i)
            if (forms[i].size() > 1 && (count[chosen[i]] > 1 || report::is_reserved(chosen[i]))) {
                forms[i].erase(forms[i].begin());
                clash = true;
            }
    }
    return chosen;
}

std::string cache_name_list() {
    const options::Row& reuse = *options::generate_options().find("reuse");
    return fmt::format("{}", fmt::join(reuse.domain.names(), ", "));
}

}  // namespace reprise::app
