#include "pipelines/identity.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <variant>

#include "core/fingerprint.h"
#include "models/registry.h"
#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

/// Texts one after the other, each with its end.
void add(Fingerprint& fingerprint, const std::string& text) {
    fingerprint.add(text.c_str(), text.size() + 1);
}

std::string of_config(Json json) {
    if (json.is_object())  // "_class_name", "_diffusers_version", "_name_or_path" are no sizes
        for (auto item = json.begin(); item != json.end();)
            item = item.key().starts_with('_') ? json.erase(item) : std::next(item);
    Fingerprint fingerprint;
    add(fingerprint, json.dump(-1, ' ', true, Json::error_handler_t::replace));
    return fingerprint.text();
}

/// The values of a weight that is a tensor of a floating type; else nothing.
std::optional<Tensor> values_of(const WeightSource& weights, std::string_view name) {
    try {
        const auto weight = weights.weight(name);
        const auto* tensor = weight ? std::get_if<Tensor>(&weight->values) : nullptr;
        if (tensor != nullptr && is_floating(tensor->type()) && tensor->count() > 0) return *tensor;
    } catch (const Error&) {  // of a type that no model reads
    }
    return std::nullopt;
}

std::string of_weights(const WeightSource& weights) {
    constexpr std::size_t kTensors = 48, kValues = 16;
    const auto names = weights.names();
    Fingerprint fingerprint;
    for (std::size_t i = 0; i < std::min(kTensors, names.size()); ++i) {
        const auto& name = names[i * names.size() / std::min(kTensors, names.size())];
        add(fingerprint, name);
        add(fingerprint, to_string(weights.shape(name).value()));
        const auto tensor = values_of(weights, name);
        if (!tensor) continue;
        const auto count = std::min<std::int64_t>(kValues, tensor->count());
        const Tensor values = tensor->reshaped({tensor->count()}).rows(0, count).to(DType::f16);
        fingerprint.add(values.data(), values.bytes());
    }
    return fingerprint.text();
}

}  // namespace

cachify::DenoiserIdentity denoiser_identity(const ModelSource& source, const std::string& name) {
    cachify::DenoiserIdentity identity;
    identity.class_name = models::current_class_name(source.component(name).class_name);
    identity.config = of_config(source.config(name).json);
    try {
        identity.weights = of_weights(*source.weights(name));
    } catch (const Error&) {  // plans are made of models without weights too
        identity.weights.clear();
    }
    return identity;
}

}  // namespace reprise::pipelines
