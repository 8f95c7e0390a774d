#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "reprise/tensor.h"

namespace reprise {

/// What text encoders make of prompts, to be kept and used again: a model then needs none of them. Names and
/// shapes are those of diffusers' `encode_prompt`, with a row for each prompt; f32. Undefined where the model
/// has no such input.
struct PromptEmbeddings {
    Tensor prompt_embeds;                   ///< (prompts, tokens, width)
    Tensor negative_prompt_embeds;          ///< the same of what to keep away from; guidance needs it
    Tensor pooled_prompt_embeds;            ///< (prompts, pooled width)
    Tensor negative_pooled_prompt_embeds;   ///< the same
    Tensor prompt_attention_mask;           ///< (prompts, tokens) of 1 and 0: PixArt
    Tensor negative_prompt_attention_mask;  ///< the same
    std::vector<std::string> prompts = {};  ///< what was encoded, if known
};

/// From a safetensors file with tensors of these names, of any floating or whole type; as `save_embeddings`
/// writes, or safetensors' `save_file` of what diffusers' `encode_prompt` gave. Error (usage) naming the file
/// for another.
PromptEmbeddings load_embeddings(const std::filesystem::path& path);
/// The file appears whole or not at all.
void save_embeddings(const PromptEmbeddings& embeddings, const std::filesystem::path& path);

}  // namespace reprise
