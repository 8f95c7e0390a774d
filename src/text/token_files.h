#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files/file_set.h"
#include "files/json.h"
#include "text/added_tokens.h"
#include "text/byte_pair.h"

namespace reprise {

/// Largest token id.
inline constexpr std::int64_t kMaxTokenId = (std::int64_t{1} << 24U) - 1;

/// The files that tokenizer folders of every kind have, parsed but not checked.
struct TokenizerFiles {
    std::filesystem::path folder;        ///< for errors
    std::optional<Json> tokenizer;       ///< tokenizer.json
    std::optional<Json> config;          ///< tokenizer_config.json
    std::optional<Json> special_tokens;  ///< special_tokens_map.json
    std::optional<Json> added_tokens;    ///< added_tokens.json

    /// Reads those that are there. Usage error naming what is broken.
    void load(const FileSet& from);
    /// tokenizer_config.json, or an empty object; usage error when it is no object.
    Config tokenizer_config() const;
    /// special_tokens_map.json, whose keys override the former's; empty where that has
    /// `added_tokens_decoder`.
    Config special_tokens_config() const;
};

/// The added tokens of a folder, by transformers 5's rules: `added_tokens_decoder` of tokenizer_config.json
/// counts alone when it is there; else special_tokens_map.json overrides tokenizer_config.json, and
/// added_tokens.json and tokenizer.json declare ids.
struct GatheredTokens {
    std::vector<AddedToken> tokens;            ///< in the order in which those without an id get one
    std::vector<std::int64_t> declared_ids;    ///< of each; -1 where the files say none
    std::map<std::string, std::string> named;  ///< "eos_token" to "</s>"
};
/// `defaults` are names and their tokens where the files name none. Usage error by file and key for what is
/// not a token, and for a named token that is neither declared nor `is_known`, one of `vocabulary_file`.
GatheredTokens gather_tokens(const TokenizerFiles& files, const Config& config,
                             const std::map<std::string, std::string>& defaults,
                             const std::function<bool(const std::string&)>& is_known,
                             const std::string& vocabulary_file);

/// An object of tokens and their ids; usage error naming `file` and `key` otherwise.
Vocabulary read_vocabulary(const Json& json, const std::string& file, std::string_view key);
/// What both files say of options that are no tokens: usage error unless text is padded and cut on the right;
/// true where special tokens in a prompt are text.
bool read_split_special_tokens(const TokenizerFiles& files);
/// JSON as errors show it.
std::string shown(const Json& value);

}  // namespace reprise
