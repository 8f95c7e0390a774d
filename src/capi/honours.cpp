#include "capi/honours.h"

#include "options/row.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/prompt_embeddings.h"

namespace reprise::capi {

namespace {

bool takes(const models::Denoiser& denoiser, Tensor PromptEmbeddings::*tensor) {
    using E = PromptEmbeddings;
    if (tensor == &E::pooled_prompt_embeds || tensor == &E::negative_pooled_prompt_embeds)
        return denoiser.takes(models::kPooledText);
    if (tensor == &E::prompt_attention_mask || tensor == &E::negative_prompt_attention_mask)
        return denoiser.takes(models::kTextMask);
    return true;
}

}  // namespace

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
            if (takes(denoiser, each.tensor)) names.emplace_back(each.name);
    }
    return names;
}

}  // namespace reprise::capi
