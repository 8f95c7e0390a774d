#include "pipelines/attachments.h"

#include <string>
#include <utility>

#include "files/printable.h"
#include "pipelines/prompt_embeddings.h"
#include "reprise/error.h"

namespace reprise::pipelines {

void attach(GenerateOptions& options, std::string_view name, Image image) {
    if (name != "image") usage_error("no picture has the name \"{}\"; expected \"image\"", printable(name));
    options.image = std::move(image);
}

void attach(GenerateOptions& options, std::string_view name, Tensor tensor) {
    if (name == "latents") {
        options.latents = std::move(tensor);
    } else if (name == "start_latents") {
        options.start_latents = std::move(tensor);
    } else if (const auto* embedding = find_embedding(name); embedding != nullptr) {
        if (!options.embeddings) options.embeddings.emplace();
        (*options.embeddings).*embedding->tensor = std::move(tensor);
    } else {
        std::string expected = "latents, start_latents";
        for (const auto& each : named_embeddings()) expected += std::string(", ") + each.name;
        usage_error("no tensor has the name \"{}\"; expected one of {}", printable(name), expected);
    }
}

}  // namespace reprise::pipelines
