#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "models/denoiser.h"
#include "pipelines/guided_denoiser.h"
#include "reprise/embeddings.h"
#include "reprise/pipeline.h"

namespace reprise::pipelines {

/// A tensor of a prompt's embeddings by diffusers' name, which files, C and Python use.
struct NamedEmbedding {
    const char* name;
    Tensor PromptEmbeddings::*tensor;
    const char* input;         ///< the denoiser's, that it is for
    bool is_negative = false;  ///< of the unconditional half of guidance
};
std::span<const NamedEmbedding> named_embeddings();
/// The one of that name, or null.
const NamedEmbedding* find_embedding(std::string_view name);

/// Usage error unless the embeddings are what a denoiser takes; with guidance, of what to keep away from too.
void check_embeddings(const PromptEmbeddings& embeddings, const models::Denoiser& denoiser, bool guidance);
/// Usage error for options that say how texts are encoded.
void check_no_texts(const GenerateOptions& options);
/// For each prompt what guides the denoiser: unconditional first, or the conditional alone.
std::vector<Branches> branches_of(const PromptEmbeddings& embeddings, bool guidance);
/// The other way round, of both halves of each prompt.
PromptEmbeddings embeddings_of(const std::vector<Branches>& prompts);

}  // namespace reprise::pipelines
