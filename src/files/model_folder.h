#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "files/model_source.h"
#include "files/renamed_weights.h"

namespace reprise {

/// How a folder's weights are opened.
struct ModelFolderOptions {
    std::string variant = {};  ///< CheckpointOptions::variant
    /// How the weights of a class are renamed; null: not at all.
    NameRule (*name_rule)(std::string_view class_name) = nullptr;
};

/// A pipeline folder in diffusers' layout: `model_index.json` and a folder for each component.
class ModelFolder final : public ModelSource {
  public:
    /// Usage error when there is no such folder or its model_index.json is absent or broken; it names the
    /// folder that was probably meant, such as a cache's snapshot.
    explicit ModelFolder(const std::filesystem::path& folder, ModelFolderOptions options = {});

    bool has(std::string_view name) const override;
    /// The component's folder: that of its name or, as in diffusers, where there is none the model's own, if
    /// the component's configuration lies there. Usage error when `has` is false.
    std::filesystem::path path(std::string_view name) const;
    Config config(std::string_view name) const override;
    std::shared_ptr<const WeightSource> weights(std::string_view name) const override;
    FileSet tokenizer(std::string_view name) const override { return path(name); }
    std::string where(std::string_view name) const override { return path(name).string(); }
    std::string description() const override { return path_.string(); }
    std::filesystem::path folder() const override { return path_; }

  private:
    std::filesystem::path path_;
    ModelFolderOptions options_;
};

}  // namespace reprise
