#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "reprise/tensor.h"

#pragma GCC visibility push(default)

namespace reprise {

/// The outputs of the text encoders for some prompts. They can be stored and used again, so that a call needs
/// no text encoder. Names and shapes are those of diffusers' `encode_prompt`, with a row for each prompt;
/// f32. A tensor is undefined where the model has no such input.
struct PromptEmbeddings {
    Tensor prompt_embeds;                   ///< (prompts, tokens, width)
    Tensor negative_prompt_embeds;          ///< the same shape, of the negative prompts; guidance needs it
    Tensor pooled_prompt_embeds;            ///< (prompts, pooled width)
    Tensor negative_pooled_prompt_embeds;   ///< the same shape
    Tensor prompt_attention_mask;           ///< (prompts, tokens) of 1 and 0; PixArt
    Tensor negative_prompt_attention_mask;  ///< the same shape
    std::vector<std::string> prompts = {};  ///< the texts, if known
};

/// Reads a safetensors file with tensors of these names, of a floating type, i64, i32, u8 or boolean.
/// `save_embeddings` writes such a file, and so does safetensors' `save_file` with the results of diffusers'
/// `encode_prompt`. Error (usage) that names the file when it is not one.
PromptEmbeddings load_embeddings(const std::filesystem::path& path);
/// Writes such a file. The file is complete or does not exist.
void save_embeddings(const PromptEmbeddings& embeddings, const std::filesystem::path& path);

}  // namespace reprise

#pragma GCC visibility pop
