#include "core/weight_source.h"

#include "core/fingerprint.h"
#include "reprise/error.h"

namespace reprise {

std::optional<Tensor> WeightSource::find(std::string_view name) const {
    const auto found = weight(name);
    if (!found) return std::nullopt;
    if (!found->is_plain())
        usage_error("{}: weight {} is {}; only linear layers and convolutions can have such a weight",
                    description(), quoted(*this, name), kind_of(*found));
    return std::get<Tensor>(found->values);
}

std::optional<Shape> WeightSource::shape(std::string_view name) const {
    const auto found = weight(name);
    return found ? std::optional(found->shape()) : std::nullopt;
}

std::string WeightSource::identity() const {
    Fingerprint fingerprint;
    for (const auto& name : names()) fingerprint.add(fmt::format("{}\n{}\n", name, identity(name)));
    return fingerprint.text();
}

std::shared_ptr<const WeightSource> in_precision(std::shared_ptr<const WeightSource> weights,
                                                 DType precision) {
    auto converted = weights->converted(precision);
    return converted ? converted : weights;
}

std::string quoted(const WeightSource& weights, std::string_view name) {
    const std::string stored = weights.stored_name(name);
    return stored == name ? fmt::format("'{}'", name) : fmt::format("'{}' (in the file: '{}')", name, stored);
}

}  // namespace reprise
