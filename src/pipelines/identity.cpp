#include "pipelines/identity.h"

#include <algorithm>

#include "core/fingerprint.h"
#include "files/checkpoint.h"
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

std::string of_weights(const Checkpoint& checkpoint) {
    constexpr std::size_t kTensors = 48, kValues = 16;
    const auto names = checkpoint.names();
    Fingerprint fingerprint;
    for (std::size_t i = 0; i < std::min(kTensors, names.size()); ++i) {
        const auto& name = names[i * names.size() / std::min(kTensors, names.size())];
        const SafetensorsEntry& entry = *checkpoint.entry(name);
        add(fingerprint, name);
        add(fingerprint, to_string(entry.shape));
        const auto type = dtype_from_safetensors(entry.dtype);  // nothing: of a type that no model reads
        if (!type || !is_floating(*type) || element_count(entry.shape) == 0) continue;
        const auto tensor = checkpoint.find(name);
        const auto count = std::min<std::int64_t>(kValues, tensor->count());
        const Tensor values = tensor->reshaped({tensor->count()}).rows(0, count).to(DType::f16);
        fingerprint.add(values.data(), values.bytes());
    }
    return fingerprint.text();
}

}  // namespace

cachify::DenoiserIdentity denoiser_identity(const ModelFolder& folder, const std::string& name,
                                            const std::string& variant) {
    cachify::DenoiserIdentity identity;
    identity.class_name = models::current_class_name(folder.component(name).class_name);
    identity.config = of_config(folder.config(name).json);
    try {
        identity.weights = of_weights(Checkpoint(folder.path(name), {variant}));
    } catch (const Error&) {  // plans are made of folders without weights too
        identity.weights.clear();
    }
    return identity;
}

}  // namespace reprise::pipelines
