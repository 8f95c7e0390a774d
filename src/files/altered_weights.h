#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/weight_source.h"
#include "files/model_source.h"

namespace reprise {

/// What takes the place of one weight.
struct Alteration {
    std::string identity;  ///< tells it from others: a file's, a strength
    std::function<Weight(const Weight& stored)> apply;
};
using Alterations = std::map<std::string, Alteration, std::less<>>;  ///< by the weight's name

/// The same, with what is packed or beside the weight computed into it (`merged`), so that steps cost nothing
/// more.
Alteration merging(Alteration alteration);

/// A source some of whose weights are others. These are made when they are first asked for, from the weight
/// as it is stored, and held; all others are the base's own, and so is the cache of what is converted.
class AlteredWeights final : public WeightSource {
  public:
    /// Usage error when the base lacks one of these weights.
    AlteredWeights(std::shared_ptr<const WeightSource> base, const Alterations& alterations);

    std::optional<Weight> weight(std::string_view name) const override;
    std::vector<std::string> names() const override { return base_->names(); }
    std::optional<Shape> shape(std::string_view name) const override;
    std::string stored_name(std::string_view name) const override { return base_->stored_name(name); }
    using WeightSource::identity;
    std::string identity(std::string_view name) const override;
    std::shared_ptr<const WeightSource> converted(DType precision) const override;
    void release_pages() const override;
    std::string description() const override { return base_->description(); }
    bool is_first_look() const override { return base_->is_first_look(); }

  private:
    struct Altered {
        explicit Altered(Alteration by) : alteration(std::move(by)) {}
        Alteration alteration;
        mutable std::mutex mutex;
        mutable std::optional<Weight> weight;
    };
    const Altered* find_altered(std::string_view name) const;

    std::shared_ptr<const WeightSource> base_;    ///< as stored
    std::shared_ptr<const WeightSource> others_;  ///< what is not altered, in the precision
    std::optional<DType> precision_;
    std::map<std::string, Altered, std::less<>> altered_;
};

/// A model some of whose weights are others: the base of adapters and of quantisation.
class AlteredModel final : public ModelDecorator {
  public:
    using ByComponent = std::map<std::string, Alterations, std::less<>>;

    AlteredModel(std::shared_ptr<const ModelSource> base, ByComponent alterations)
        : ModelDecorator(std::move(base)), alterations_(std::move(alterations)) {}

    std::shared_ptr<const WeightSource> weights(std::string_view name) const override;

  private:
    ByComponent alterations_;
};

}  // namespace reprise
