#include "files/altered_weights.h"

#include <utility>
#include <variant>

#include "core/fingerprint.h"
#include "reprise/error.h"

namespace reprise {

Alteration merging(Alteration alteration) {
    return {"merged " + alteration.identity,
            [apply = std::move(alteration.apply)](const Weight& stored) { return merged(apply(stored)); }};
}

AlteredWeights::AlteredWeights(std::shared_ptr<const WeightSource> base, const Alterations& alterations)
    : base_(std::move(base)), others_(base_) {
    for (const auto& [name, alteration] : alterations) {
        if (!base_->shape(name))
            usage_error("{}: there is no weight '{}' to be altered", base_->description(), name);
        altered_.emplace(name, alteration);
    }
}

const AlteredWeights::Altered* AlteredWeights::find_altered(std::string_view name) const {
    const auto found = altered_.find(name);
    return found == altered_.end() ? nullptr : &found->second;
}

std::optional<Weight> AlteredWeights::weight(std::string_view name) const {
    const Altered* altered = find_altered(name);
    if (altered == nullptr) return others_->weight(name);
    const std::lock_guard lock(altered->mutex);
    if (!altered->weight) {
        Weight weight = altered->alteration.apply(base_->weight(name).value());
        auto* plain = std::get_if<Tensor>(&weight.values);
        if (precision_ && plain != nullptr && is_floating(plain->type())) *plain = plain->to(*precision_);
        altered->weight = std::move(weight);
    }
    return altered->weight;
}

std::optional<Shape> AlteredWeights::shape(std::string_view name) const {
    return find_altered(name) == nullptr ? base_->shape(name) : WeightSource::shape(name);
}

std::string AlteredWeights::identity(std::string_view name) const {
    const Altered* altered = find_altered(name);
    if (altered == nullptr) return base_->identity(name);
    Fingerprint fingerprint;
    fingerprint.add(base_->identity(name) + "\n" + altered->alteration.identity);
    return fingerprint.text();
}

std::shared_ptr<const WeightSource> AlteredWeights::converted(DType precision) const {
    Alterations alterations;
    for (const auto& [name, altered] : altered_) alterations.emplace(name, altered.alteration);
    auto result = std::make_shared<AlteredWeights>(base_, alterations);
    result->others_ = in_precision(base_, precision);
    result->precision_ = precision;
    return result;
}

void AlteredWeights::release_pages() const {
    base_->release_pages();
    if (others_ != base_) others_->release_pages();
}

std::shared_ptr<const WeightSource> AlteredModel::weights(std::string_view name) const {
    auto weights = ModelDecorator::weights(name);
    const auto found = alterations_.find(name);
    if (found == alterations_.end()) return weights;
    return std::make_shared<AlteredWeights>(std::move(weights), found->second);
}

}  // namespace reprise
