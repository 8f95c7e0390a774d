#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "files/json.h"

namespace reprise {

/// A pipeline folder in diffusers' layout: `model_index.json` and a folder for each component.
class ModelFolder {
  public:
    /// What model_index.json says of a component, such as {"diffusers", "UNet2DConditionModel"}.
    struct Component {
        std::string library;
        std::string class_name;
    };

    /// Usage error when there is no such folder or its model_index.json is absent or broken; it names the
    /// folder that was probably meant, such as a cache's snapshot.
    explicit ModelFolder(const std::filesystem::path& folder);

    const std::filesystem::path& path() const { return path_; }
    /// The pipeline's class, such as "StableDiffusionXLPipeline".
    const std::string& class_name() const { return class_name_; }
    /// model_index.json itself, for its options, such as "force_zeros_for_empty_prompt".
    const Config& index() const { return index_; }
    /// All components by name; nothing for those that the file names as null.
    const std::map<std::string, std::optional<Component>, std::less<>>& components() const {
        return components_;
    }

    /// True when the component is named and not null.
    bool names(std::string_view name) const;
    /// True when, besides, it has a path.
    bool has(std::string_view name) const;
    /// Usage error when the component is not named or null.
    const Component& component(std::string_view name) const;
    /// The component's folder: that of its name or, as in diffusers, where there is none the model's own, if
    /// the component's configuration lies there. Usage error when `has` is false.
    std::filesystem::path path(std::string_view name) const;
    /// The component's config.json, scheduler_config.json, tokenizer_config.json or
    /// preprocessor_config.json, with what was laid over it. Usage error when there is none.
    Config config(std::string_view name) const;
    /// Values that `config` gives in the place of those in the component's file.
    void lay_over(std::string_view name, const Json& values);

  private:
    std::filesystem::path path_;
    Config index_;
    std::string class_name_;
    std::map<std::string, std::optional<Component>, std::less<>> components_;
    std::map<std::string, Json, std::less<>> laid_over_;
};

}  // namespace reprise
