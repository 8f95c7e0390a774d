#pragma once

#include <optional>
#include <string>
#include <vector>

#include "text/precompiled_map.h"
#include "text/token_files.h"
#include "text/unigram.h"

namespace reprise {

/// The files of a T5 tokenizer's folder, parsed but not checked: `sentencepiece`, `tokenizer` or both.
struct T5Files : TokenizerFiles {
    std::optional<std::string> sentencepiece;  ///< spiece.model's bytes

    /// Usage error naming what is missing or broken.
    static T5Files load(const FileSet& folder);
};

/// What the files say, in the precedence that transformers 5 gives them: tokenizer.json goes before
/// spiece.model; where they disagree, a warning says where first.
struct T5Definition {
    static constexpr std::int64_t kUnknownId = 2;  ///< whatever the files call unknown, in T5's vocabularies

    std::string file;                        ///< the vocabulary's, for errors
    std::vector<UnigramPiece> pieces;        ///< the sentinels <extra_id_N> included
    PrecompiledMap normalizer;               ///< of each text between added tokens
    std::vector<AddedToken> added_tokens;    ///< in the order in which those without an id get one
    std::vector<std::int64_t> declared_ids;  ///< of each added token; -1 where the files say none
    std::string eos, pad;
    bool split_special_tokens = false;  ///< special tokens in a prompt are text

    /// Usage error for whatever is not a T5 tokenizer's, by file and key.
    explicit T5Definition(const T5Files& files);
};

}  // namespace reprise
