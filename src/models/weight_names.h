#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/weight_source.h"

namespace reprise::models {

/// A checkpoint of a diffusers or transformers class under the names that its builder asks for: what older
/// and newer releases call otherwise is renamed, what is no weight of the model is left out. The rules of
/// each class are the list in weight_names.cpp; left out everywhere are scalars (tensors without
/// dimensions). Other shapes of the same weights, such as 1x1 convolutions for linear layers, are the
/// Builder's business.
class NamedWeights final : public WeightSource {
  public:
    /// `source` must outlive this. Usage error when two of its weights stand for one.
    NamedWeights(const WeightSource& source, std::string_view class_name);

    std::optional<Tensor> find(std::string_view name) const override;
    std::vector<std::string> names() const override;
    void release_pages() const override { source_.release_pages(); }
    std::string description() const override { return source_.description(); }
    bool is_first_look() const override { return source_.is_first_look(); }

  private:
    const WeightSource& source_;
    std::map<std::string, std::string, std::less<>> source_names_;
};

/// NamedWeights over a source that may be null: then null.
std::unique_ptr<WeightSource> named_weights(const WeightSource* source, std::string_view class_name);

}  // namespace reprise::models
