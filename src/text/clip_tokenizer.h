#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "text/added_tokens.h"
#include "text/byte_pair.h"
#include "text/clip_files.h"

namespace reprise {

/// CLIP's byte-pair tokenizer. Gives the ids that transformers 5's CLIPTokenizer gives for the same folder.
/// Immutable; may be used by several threads.
class ClipTokenizer {
  public:
    struct Encoded {
        std::vector<std::int64_t> ids;  ///< begin, text, end, padding: as many as asked for
        std::size_t lost_count = 0;     ///< tokens of the text that did not fit
        std::string lost;               ///< these, decoded, as diffusers quotes them in its warning
    };

    /// From a diffusers tokenizer folder: tokenizer.json, or vocab.json and merges.txt; besides, where they
    /// are there, tokenizer_config.json, special_tokens_map.json and added_tokens.json. Usage error naming
    /// the file and what is wrong with it.
    static ClipTokenizer load(const FileSet& folder);
    explicit ClipTokenizer(const ClipFiles& files) : ClipTokenizer(ClipDefinition(files)) {}
    explicit ClipTokenizer(const ClipDefinition& definition);

    /// Any bytes: ill-formed UTF-8 reads as U+FFFD. Usage error for a prompt of more than 16 MiB.
    Encoded encode(std::string_view prompt) const { return encode(prompt, max_length_); }
    /// The same as `length` ids, at least 2.
    Encoded encode(std::string_view prompt, std::int64_t length) const;
    /// The prompt with each name of a textual inversion of several vectors, "<cat>", followed by those of
    /// the others, "<cat> <cat>_1 <cat>_2", as diffusers' `maybe_convert_prompt` does: wherever the name's
    /// text stands, if it is an added token somewhere.
    std::string with_all_vectors(std::string_view prompt) const;
    /// The text's own tokens: no begin, end or padding, and nothing cut.
    std::vector<std::int64_t> tokenize(std::string_view prompt) const;
    /// The text of ids, special tokens included; unknown ids are left out.
    std::string decode(std::span<const std::int64_t> ids) const;

    std::int64_t max_length() const { return max_length_; }
    std::int64_t pad_id() const { return pad_id_; }
    std::int64_t bos_id() const { return bos_id_; }
    std::int64_t eos_id() const { return eos_id_; }
    /// One more than the largest id that `encode` may give: a text encoder needs as many embeddings.
    std::int64_t vocab_size() const { return vocab_size_; }

  private:
    void add_tokens(const ClipDefinition& definition);

    BytePair byte_pair_;
    AddedTokenFinder raw_finder_;         // in the prompt
    AddedTokenFinder normalized_finder_;  // in the normalized text between
    std::unordered_map<std::int64_t, std::string> tokens_;
    std::unordered_set<std::string> added_;  // contents of added tokens
    std::int64_t max_length_ = 0;
    std::int64_t pad_id_ = 0, bos_id_ = 0, eos_id_ = 0;
    std::int64_t vocab_size_ = 0;
};

}  // namespace reprise
