#pragma once

#include <functional>
#include <map>
#include <utility>

#include "core/weight_source.h"

namespace reprise {

/// Weights held in a map.
class MapWeights final : public WeightSource {
  public:
    using Map = std::map<std::string, Tensor, std::less<>>;

    explicit MapWeights(Map tensors, std::string description = "weights in memory")
        : tensors_(std::move(tensors)), description_(std::move(description)) {}

    std::optional<Tensor> find(std::string_view name) const override {
        const auto found = tensors_.find(name);
        return found == tensors_.end() ? std::nullopt : std::optional(found->second);
    }
    std::vector<std::string> names() const override {
        std::vector<std::string> result;
        for (const auto& [name, tensor] : tensors_) result.push_back(name);
        return result;
    }
    void release_pages() const override {}
    std::string description() const override { return description_; }

  private:
    Map tensors_;
    std::string description_;
};

}  // namespace reprise
