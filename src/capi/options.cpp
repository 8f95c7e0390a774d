#include "capi/options.h"

#include "files/printable.h"
#include "options/row.h"
#include "pipelines/prompt_embeddings.h"
#include "reprise/error.h"

namespace reprise::capi {

namespace {

/// What errors about options call the JSON text.
constexpr const char* kOrigin = "the options";

}  // namespace

void add_call_options(GenerateOptions& options, std::string_view json) {
    options::read(options::generate_options(), &options, parse_json(json, kOrigin), kOrigin);
}

LoadOptions parse_load_options(std::string_view json) {
    LoadOptions options;
    options::read(options::load_options(), &options, parse_json(json, kOrigin), kOrigin);
    return options;
}

void attach(GenerateOptions& options, std::string_view name, Image image) {
    if (name != "image") usage_error("no picture has the name \"{}\"; expected \"image\"", printable(name));
    options.image = std::move(image);
}

void attach(GenerateOptions& options, std::string_view name, Tensor tensor) {
    if (name == "latents") {
        options.latents = std::move(tensor);
        return;
    }
    if (name == "start_latents") {
        options.start_latents = std::move(tensor);
        return;
    }
    std::string expected = "latents, start_latents";
    for (const auto& each : pipelines::named_embeddings()) {
        if (name == each.name) {
            if (!options.embeddings) options.embeddings.emplace();
            (*options.embeddings).*each.tensor = std::move(tensor);
            return;
        }
        expected += std::string(", ") + each.name;
    }
    usage_error("no tensor has the name \"{}\"; expected one of {}", printable(name), expected);
}

}  // namespace reprise::capi
