#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/t5_files.h"

namespace reprise {

/// T5's unigram tokenizer. Gives the ids that transformers 5's T5Tokenizer gives for the same folder.
/// Immutable; may be used by several threads.
class T5Tokenizer {
  public:
    struct Encoded {
        std::vector<std::int64_t> ids;  ///< text, end, padding: `max_tokens` of them
        std::vector<float> mask;        ///< 1 for text and end, 0 for padding
        std::size_t lost_count = 0;     ///< tokens of the text that did not fit
        std::string lost;               ///< these, decoded, as diffusers quotes them in its warning
    };

    /// From a diffusers tokenizer folder: spiece.model, tokenizer.json or both; besides, where they are
    /// there, tokenizer_config.json, special_tokens_map.json and added_tokens.json. Usage error naming the
    /// file and what is wrong with it.
    static T5Tokenizer load(const FileSet& folder);
    explicit T5Tokenizer(const T5Files& files) : T5Tokenizer(T5Definition(files)) {}
    explicit T5Tokenizer(const T5Definition& definition);

    /// Any bytes: ill-formed UTF-8 reads as U+FFFD. Usage error for a prompt of more than 16 MiB and for
    /// less than one token.
    Encoded encode(std::string_view prompt, std::int64_t max_tokens) const;
    /// The text's own tokens: no end or padding, and nothing cut.
    std::vector<std::int64_t> tokenize(std::string_view prompt) const;
    /// The text of ids, special tokens included; ids that there are not are left out.
    std::string decode(std::span<const std::int64_t> ids) const;

    std::int64_t pad_id() const { return pad_id_; }
    std::int64_t eos_id() const { return eos_id_; }
    /// One more than the largest id that `encode` may give: a text encoder needs as many embeddings.
    std::int64_t vocab_size() const { return vocab_size_; }

  private:
    void add_tokens(const T5Definition& definition);
    void encode_words(std::string_view normalized, std::vector<std::int64_t>& ids) const;

    Unigram unigram_;
    PrecompiledMap normalizer_;
    AddedTokenFinder raw_finder_;         // in the prompt
    AddedTokenFinder normalized_finder_;  // in the normalized text between
    std::unordered_map<std::int64_t, std::string> tokens_;
    std::int64_t pad_id_ = 0, eos_id_ = 0;
    std::int64_t vocab_size_ = 0;
};

}  // namespace reprise
