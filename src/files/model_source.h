#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/weight_source.h"
#include "files/file_set.h"
#include "files/json.h"

namespace reprise {

/// Where a pipeline's parts come from: a folder, a file, another source that is altered. Const members may be
/// called from several threads at once.
class ModelSource {
  public:
    /// What the source says a component is, such as {"diffusers", "UNet2DConditionModel"}.
    struct Component {
        std::string library;
        std::string class_name;
    };

    ModelSource(const ModelSource&) = delete;
    ModelSource& operator=(const ModelSource&) = delete;
    virtual ~ModelSource() = default;

    /// The pipeline's class, such as "StableDiffusionXLPipeline".
    const std::string& class_name() const { return class_name_; }
    /// What model_index.json says, for its options, such as "force_zeros_for_empty_prompt".
    const Config& index() const { return index_; }
    /// All components by name; nothing for those that are null.
    const std::map<std::string, std::optional<Component>, std::less<>>& components() const {
        return components_;
    }
    /// True when the component is named and not null.
    bool names(std::string_view name) const;
    /// Usage error when the component is not named or null.
    const Component& component(std::string_view name) const;

    /// True when the component is named and there.
    virtual bool has(std::string_view name) const = 0;
    /// Its config.json, scheduler_config.json, tokenizer_config.json or preprocessor_config.json. Usage error
    /// when there is none.
    virtual Config config(std::string_view name) const = 0;
    /// Its weights as they are stored, under the names that builders ask for. Usage error when there are none
    /// that can be read.
    virtual std::shared_ptr<const WeightSource> weights(std::string_view name) const = 0;
    /// The files of a tokenizer. Usage error when it is not there.
    virtual FileSet tokenizer(std::string_view name) const = 0;
    /// What to call a component in messages, such as its folder.
    virtual std::string where(std::string_view name) const = 0;
    /// What to call the source in messages, such as its folder.
    virtual std::string description() const = 0;
    /// The folder beside which `reprise/` has what was made for this model: defaults, tuned files. Empty:
    /// none.
    virtual std::filesystem::path folder() const { return {}; }

    /// Tells the model from others: class, configurations, weights. Opens the weights of all components.
    std::string identity() const;

  protected:
    /// Usage error when the index is not one of a pipeline.
    explicit ModelSource(Config index);

  private:
    Config index_;
    std::string class_name_;
    std::map<std::string, std::optional<Component>, std::less<>> components_;
};

/// Whether a component of that name has weights: it is no scheduler, tokenizer or feature extractor.
bool is_model(std::string_view component);

/// A source over another one, all of whose parts it passes on: the base of those that alter some.
class ModelDecorator : public ModelSource {
  public:
    bool has(std::string_view name) const override { return base_->has(name); }
    Config config(std::string_view name) const override { return base_->config(name); }
    std::shared_ptr<const WeightSource> weights(std::string_view name) const override {
        return base_->weights(name);
    }
    FileSet tokenizer(std::string_view name) const override { return base_->tokenizer(name); }
    std::string where(std::string_view name) const override { return base_->where(name); }
    std::string description() const override { return base_->description(); }
    std::filesystem::path folder() const override { return base_->folder(); }

  protected:
    explicit ModelDecorator(std::shared_ptr<const ModelSource> base)
        : ModelSource(base->index()), base_(std::move(base)) {}

  private:
    std::shared_ptr<const ModelSource> base_;
};

/// A source with other values in the configurations of some components.
class OverlaidModel final : public ModelDecorator {
  public:
    using Values = std::map<std::string, Json, std::less<>>;  ///< objects, by component

    OverlaidModel(std::shared_ptr<const ModelSource> base, Values values)
        : ModelDecorator(std::move(base)), values_(std::move(values)) {}

    Config config(std::string_view name) const override;

  private:
    Values values_;
};

}  // namespace reprise
