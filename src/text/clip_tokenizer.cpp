#include "text/clip_tokenizer.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "files/printable.h"
#include "reprise/error.h"
#include "text/byte_level.h"
#include "text/unicode.h"
#include "text/word_splitter.h"

namespace reprise {
namespace {

constexpr std::size_t kMaxPromptBytes = std::size_t{16} << 20U;

}  // namespace

ClipTokenizer ClipTokenizer::load(const FileSet& folder) {
    return ClipTokenizer(ClipFiles::load(folder));
}

ClipTokenizer::ClipTokenizer(const ClipDefinition& definition)
    : byte_pair_(definition.vocabulary, definition.merges, definition.unknown, definition.file),
      max_length_(definition.max_length) {
    tokens_.reserve(definition.vocabulary.size());
    for (const auto& [token, id] : definition.vocabulary) {
        tokens_.emplace(id, token);
        vocab_size_ = std::max(vocab_size_, std::int64_t{id} + 1);
    }
    add_tokens(definition);
}

void ClipTokenizer::add_tokens(const ClipDefinition& definition) {
    std::unordered_map<std::string_view, std::int64_t> ids;        // of added tokens
    std::unordered_map<std::string_view, const AddedToken*> last;  // the last of one content counts
    auto next_id = static_cast<std::int64_t>(definition.vocabulary.size());
    for (std::size_t i = 0; i < definition.added_tokens.size(); ++i) {
        const auto& token = definition.added_tokens[i];
        last[token.content] = &token;
        if (ids.contains(token.content)) continue;
        const auto known = definition.vocabulary.find(token.content);
        const auto id = known != definition.vocabulary.end() ? std::int64_t{known->second} : next_id++;
        if (known == definition.vocabulary.end() && tokens_.contains(id))
            usage_error(
                "{}: the added token '{}' would get the id {}, which is that of '{}'; expected ids "
                "without gaps",
                definition.file, printable(token.content), id, printable(tokens_.at(id)));
        if (const auto declared = definition.declared_ids[i]; declared >= 0 && declared != id)
            spdlog::warn("{}: the added token '{}' is declared with the id {} but has the id {}",
                         definition.file, printable(token.content), declared, id);
        ids.emplace(token.content, id);
        tokens_.insert_or_assign(id, token.content);
        vocab_size_ = std::max(vocab_size_, id + 1);
    }
    for (const auto& [content, id] : ids) {
        added_.emplace(content);
        const auto& token = *last.at(content);
        const auto pattern = token.normalized ? normalize_for_clip(content) : std::string(content);
        if (token.normalized) tokens_.insert_or_assign(id, pattern);
        if (token.special && definition.split_special_tokens) continue;
        if (!(token.normalized ? normalized_finder_ : raw_finder_).add(token, pattern, id))
            usage_error("{}: another added token reads '{}' like '{}', expected them to differ in lower case",
                        definition.file, printable(pattern), printable(content));
    }
    bos_id_ = ids.at(definition.bos);
    eos_id_ = ids.at(definition.eos);
    pad_id_ = ids.at(definition.pad);
}

std::vector<std::int64_t> ClipTokenizer::tokenize(std::string_view prompt) const {
    if (prompt.size() > kMaxPromptBytes)
        usage_error("the prompt is {} bytes long, expected at most {}", prompt.size(), kMaxPromptBytes);
    std::vector<std::int64_t> ids;
    const auto text = valid_utf8(prompt);
    for (const auto& part : raw_finder_.split(text)) {
        if (part.id != TextPart::kText) {
            ids.push_back(part.id);
            continue;
        }
        const auto normalized = normalize_for_clip(part.text);
        for (const auto& inner : normalized_finder_.split(normalized)) {
            if (inner.id != TextPart::kText)
                ids.push_back(inner.id);
            else
                for (const auto word : split_clip_words(inner.text)) byte_pair_.encode(word, ids);
        }
    }
    return ids;
}

std::string ClipTokenizer::with_all_vectors(std::string_view prompt) const {
    std::string result = valid_utf8(prompt);
    std::unordered_set<std::int64_t> seen;
    for (const auto id : tokenize(prompt)) {
        if (!seen.insert(id).second) continue;
        const std::string& name = tokens_.at(id);
        if (!added_.contains(name)) continue;
        std::string all = name;
        for (int i = 1; added_.contains(fmt::format("{}_{}", name, i)); ++i)
            all += fmt::format(" {}_{}", name, i);
        for (auto at = result.find(name); at != std::string::npos; at = result.find(name, at + all.size())) {
            result.replace(at, name.size(), all);
            if (result.size() > kMaxPromptBytes)
                usage_error("the prompt is more than {} bytes long with all vectors of '{}'", kMaxPromptBytes,
                            printable(name));
        }
    }
    return result;
}

ClipTokenizer::Encoded ClipTokenizer::encode(std::string_view prompt, std::int64_t max_length) const {
    const auto text = tokenize(prompt);
    const auto length = static_cast<std::size_t>(max_length);
    const auto kept = std::span(text).first(std::min(text.size(), length - 2));
    const auto lost = std::span(text).subspan(kept.size());

    Encoded encoded;
    encoded.ids.reserve(length);
    encoded.ids.push_back(bos_id_);
    encoded.ids.insert(encoded.ids.end(), kept.begin(), kept.end());
    encoded.ids.push_back(eos_id_);
    encoded.ids.resize(length, pad_id_);
    encoded.lost_count = lost.size();
    encoded.lost = decode(lost);
    return encoded;
}

std::string ClipTokenizer::decode(std::span<const std::int64_t> ids) const {
    std::string bytes;
    for (const auto id : ids)
        if (const auto token = tokens_.find(id); token != tokens_.end())
            append_token_bytes(bytes, token->second);
    const auto text = valid_utf8(bytes);
    std::string spaced;
    constexpr std::string_view kEnd = "</w>";
    for (std::size_t i = 0; i < text.size();) {
        const bool ends = text.compare(i, kEnd.size(), kEnd) == 0;
        spaced += ends ? ' ' : text[i];
        i += ends ? kEnd.size() : 1;
    }
    return std::string(strip(spaced));
}

}  // namespace reprise
