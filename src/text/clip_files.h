#pragma once

#include <optional>
#include <string>
#include <vector>

#include "files/json.h"
#include "text/added_tokens.h"
#include "text/byte_pair.h"
#include "text/token_files.h"

namespace reprise {

/// The files of a CLIP tokenizer's folder, parsed but not checked. Either `tokenizer`, or `vocabulary` and
/// `merges`.
struct ClipFiles : TokenizerFiles {
    std::optional<Json> vocabulary;  ///< vocab.json
    std::string merges;              ///< merges.txt

    /// Usage error naming what is missing or broken.
    static ClipFiles load(const FileSet& folder);
};

/// What the files say, in the precedence that transformers 5 gives them.
struct ClipDefinition {
    std::string file;  ///< the vocabulary's, for errors
    Vocabulary vocabulary;
    Merges merges;
    std::vector<AddedToken> added_tokens;    ///< in the order in which those without an id get one
    std::vector<std::int64_t> declared_ids;  ///< of each added token; -1 where the files say none
    std::string bos, eos, pad, unknown;
    bool split_special_tokens = false;  ///< special tokens in a prompt are text
    std::int64_t max_length = 77;

    /// Usage error for whatever is not a CLIP tokenizer's, by file and key.
    explicit ClipDefinition(const ClipFiles& files);
};

}  // namespace reprise
