#pragma once

#include <map>
#include <string>
#include <utility>

#include "core/fingerprint.h"
#include "core/weight_source.h"

namespace reprise {

/// Weights held in a map.
class MapWeights final : public WeightSource {
  public:
    using Map = std::map<std::string, Tensor, std::less<>>;

    explicit MapWeights(Map tensors, std::string description = "weights in memory")
        : tensors_(std::move(tensors)), description_(std::move(description)) {}

    std::optional<Weight> weight(std::string_view name) const override {
        const auto found = tensors_.find(name);
        return found == tensors_.end() ? std::nullopt : std::optional<Weight>(found->second);
    }
    std::vector<std::string> names() const override {
        std::vector<std::string> result;
        for (const auto& [name, tensor] : tensors_) result.push_back(name);
        return result;
    }
    using WeightSource::identity;
    /// Of all its values.
    std::string identity(std::string_view name) const override {
        Fingerprint fingerprint;
        if (const auto found = tensors_.find(name); found != tensors_.end()) {
            fingerprint.add(to_string(found->second.shape()));
            fingerprint.add(name_of(found->second.type()));
            fingerprint.add(found->second.data(), found->second.bytes());
        }
        return fingerprint.text();
    }
    void release_pages() const override {}
    std::string description() const override { return description_; }

  private:
    Map tensors_;
    std::string description_;
};

}  // namespace reprise
