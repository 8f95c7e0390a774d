#include "capi/honours.h"

#include "options/row.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/prompt_embeddings.h"

namespace reprise::capi {

void check_options(const Pipeline& pipe, const GenerateOptions& options) {
    pipe.implementation().outlook(options);
}

std::vector<std::string> honoured_options(const Pipeline& pipe) {
    const auto& implementation = pipe.implementation();
    std::vector<std::string> names;
    for (const options::Row& row : options::generate_options().rows) {
        if (row.type == options::Type::callback || !implementation.honours(row.about)) continue;
        if (row.about != options::About::embeddings) {
            names.emplace_back(row.name);
            continue;
        }
        const models::Denoiser& denoiser = implementation.denoiser().model();
        for (const auto& each : pipelines::named_embeddings())
            if (denoiser.takes(each.input)) names.emplace_back(each.name);
    }
    return names;
}

}  // namespace reprise::capi
