#include "files/renamed_weights.h"

#include <utility>

#include "reprise/error.h"

namespace reprise {

RenamedWeights::RenamedWeights(std::shared_ptr<const WeightSource> base, NameRule rule)
    : base_(std::move(base)) {
    Names spare;
    for (const auto& stored : base_->names()) {
        CurrentName current = rule(stored);
        if (current.name.empty()) continue;
        if (current.is_spare) {
            spare.emplace(std::move(current.name), stored);
            continue;
        }
        const auto [found, is_new] = stored_.emplace(std::move(current.name), stored);
        if (!is_new)
            usage_error("{}: '{}' and '{}' are two names of one weight; remove one of them",
                        base_->description(), found->second, stored);
    }
    stored_.merge(spare);
}

const std::string* RenamedWeights::find_stored(std::string_view name) const {
    const auto found = stored_.find(name);
    return found == stored_.end() ? nullptr : &found->second;
}

std::optional<Weight> RenamedWeights::weight(std::string_view name) const {
    const auto* stored = find_stored(name);
    return stored == nullptr ? std::nullopt : base_->weight(*stored);
}

std::optional<Shape> RenamedWeights::shape(std::string_view name) const {
    const auto* stored = find_stored(name);
    return stored == nullptr ? std::nullopt : base_->shape(*stored);
}

std::vector<std::string> RenamedWeights::names() const {
    std::vector<std::string> result;
    for (const auto& [name, stored] : stored_) result.push_back(name);
    return result;
}

std::string RenamedWeights::stored_name(std::string_view name) const {
    const auto* stored = find_stored(name);
    return stored == nullptr ? std::string(name) : base_->stored_name(*stored);
}

std::string RenamedWeights::identity(std::string_view name) const {
    const auto* stored = find_stored(name);
    return stored == nullptr ? "" : base_->identity(*stored);
}

std::shared_ptr<const WeightSource> RenamedWeights::converted(DType precision) const {
    auto base = base_->converted(precision);
    if (!base) return nullptr;
    return std::shared_ptr<const WeightSource>(new RenamedWeights(std::move(base), stored_));
}

std::shared_ptr<const WeightSource> renamed(std::shared_ptr<const WeightSource> weights, NameRule rule) {
    if (rule == nullptr) return weights;
    return std::make_shared<RenamedWeights>(std::move(weights), rule);
}

}  // namespace reprise
