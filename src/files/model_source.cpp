#include "files/model_source.h"

#include <utility>

#include "core/fingerprint.h"
#include "files/printable.h"
#include "reprise/error.h"

namespace reprise {

namespace {

/// True for a name that stays inside a folder.
bool is_plain_name(std::string_view name) {
    return !name.empty() && name != "." && name != ".." &&
           name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

}  // namespace

ModelSource::ModelSource(Config index)
    : index_(std::move(index)), class_name_(index_.require<std::string>("_class_name")) {
    for (const auto& [name, value] : index_.json.items()) {
        const bool pair = value.is_array() && value.size() == 2;
        if (name.starts_with('_') || !pair) continue;  // an option of the pipeline
        const bool absent = value[0].is_null();        // whatever the class, as in diffusers
        if (!absent && !(value[0].is_string() && value[1].is_string())) continue;
        if (!is_plain_name(name))
            usage_error("{}: component \"{}\" is not the plain name of a folder", index_.file,
                        printable(name));
        std::optional<Component> component;
        if (!absent) component = Component{value[0].get<std::string>(), value[1].get<std::string>()};
        components_.emplace(name, std::move(component));
    }
}

bool ModelSource::names(std::string_view name) const {
    const auto found = components_.find(name);
    return found != components_.end() && found->second;
}

const ModelSource::Component& ModelSource::component(std::string_view name) const {
    const auto found = components_.find(name);
    if (found == components_.end()) usage_error("{}: names no component \"{}\"", index_.file, name);
    if (!found->second) usage_error("{}: component \"{}\" is null", index_.file, name);
    return *found->second;
}

std::string ModelSource::identity() const {
    Fingerprint fingerprint;
    const auto add = [&](const std::string& text) { fingerprint.add(text.c_str(), text.size() + 1); };
    add(text_of(index_.json));
    for (const auto& [name, component] : components_) {
        add(name);
        if (!component || !has(name)) continue;
        add(text_of(config(name).json));
        if (is_model(name)) add(weights(name)->identity());
    }
    return fingerprint.text();
}

bool is_model(std::string_view component) {
    return component != "scheduler" && component != "feature_extractor" &&
           !component.starts_with("tokenizer");
}

Config OverlaidModel::config(std::string_view name) const {
    Config config = ModelDecorator::config(name);
    if (const auto found = values_.find(name); found != values_.end()) config.json.update(found->second);
    return config;
}

}  // namespace reprise
