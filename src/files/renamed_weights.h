#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/weight_source.h"

namespace reprise {

/// What a name that a file has is called today.
struct CurrentName {
    std::string name;       ///< empty: it is no weight of the model and left out
    bool is_spare = false;  ///< it counts only where the file has no weight of that name besides
};

/// The names of one class of models. Null: they never changed.
using NameRule = CurrentName (*)(std::string_view stored);

/// Weights under the names that their model's builder asks for, in the place of those that they are stored
/// under.
class RenamedWeights final : public WeightSource {
  public:
    /// Usage error when two of the weights stand for one.
    RenamedWeights(std::shared_ptr<const WeightSource> base, NameRule rule);

    std::optional<Weight> weight(std::string_view name) const override;
    std::optional<Shape> shape(std::string_view name) const override;
    std::vector<std::string> names() const override;
    std::string stored_name(std::string_view name) const override;
    using WeightSource::identity;
    std::string identity(std::string_view name) const override;
    std::shared_ptr<const WeightSource> converted(DType precision) const override;
    void release_pages() const override { base_->release_pages(); }
    std::string description() const override { return base_->description(); }
    bool is_first_look() const override { return base_->is_first_look(); }

  private:
    using Names = std::map<std::string, std::string, std::less<>>;
    RenamedWeights(std::shared_ptr<const WeightSource> base, Names stored)
        : base_(std::move(base)), stored_(std::move(stored)) {}
    const std::string* find_stored(std::string_view name) const;

    std::shared_ptr<const WeightSource> base_;
    Names stored_;  ///< by current name
};

/// The weights, renamed where there is a rule.
std::shared_ptr<const WeightSource> renamed(std::shared_ptr<const WeightSource> weights, NameRule rule);

}  // namespace reprise
