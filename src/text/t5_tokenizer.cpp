#include "text/t5_tokenizer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

#include "files/printable.h"
#include "reprise/error.h"
#include "text/unicode.h"

namespace reprise {
namespace {

constexpr std::size_t kMaxPromptBytes = std::size_t{16} << 20U;
constexpr std::string_view kWordStart = "\u2581";

/// The part of a text before its first white space, which is removed with it.
std::string_view take_word(std::string_view& text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto begin = at;
        if (char_class(next_char(text, at)) != CharClass::space) continue;
        const auto word = text.substr(0, begin);
        text.remove_prefix(at);
        return word;
    }
    return std::exchange(text, {});
}

}  // namespace

T5Tokenizer T5Tokenizer::load(const FileSet& folder) {
    return T5Tokenizer(T5Files::load(folder));
}

T5Tokenizer::T5Tokenizer(const T5Definition& definition)
    : unigram_(definition.pieces, T5Definition::kUnknownId, definition.file),
      normalizer_(definition.normalizer) {
    for (const auto& piece : definition.pieces) tokens_.emplace(vocab_size_++, piece.text);
    add_tokens(definition);
}

void T5Tokenizer::add_tokens(const T5Definition& definition) {
    std::unordered_map<std::string, std::int64_t> ids;
    for (const auto& [id, text] : tokens_) ids.emplace(text, id);
    std::map<std::string, AddedToken> last;  // the last of one content counts
    for (std::size_t i = 0; i < definition.added_tokens.size(); ++i) {
        const auto& token = definition.added_tokens[i];
        last[token.content] = token;
        const auto [found, is_new] = ids.try_emplace(token.content, vocab_size_);
        const auto id = found->second;
        if (is_new) {
            tokens_.emplace(id, token.content);
            ++vocab_size_;
        }
        if (const auto declared = definition.declared_ids[i]; declared >= 0 && declared != id)
            spdlog::warn("{}: the added token '{}' is declared with the id {} but has the id {}",
                         definition.file, printable(token.content), declared, id);
    }
    for (const auto& [content, token] : last) {
        if (token.special && definition.split_special_tokens) continue;
        const auto pattern = token.normalized ? normalizer_.normalize(content) : content;
        if (!(token.normalized ? normalized_finder_ : raw_finder_).add(token, pattern, ids.at(content)))
            usage_error("{}: another added token reads '{}' like '{}', expected them to differ",
                        definition.file, printable(pattern), printable(content));
    }
    eos_id_ = ids.at(definition.eos);
    pad_id_ = ids.at(definition.pad);
}

/// Each word begins with a word start, of which none is inside.
void T5Tokenizer::encode_words(std::string_view normalized, std::vector<std::int64_t>& ids) const {
    while (!normalized.empty()) {
        const auto word = take_word(normalized);
        if (word.empty()) continue;
        std::string started;
        if (!word.starts_with(kWordStart)) started = kWordStart;
        started += word;
        for (std::size_t begin = 0; begin < started.size();) {
            const auto end = std::min(started.find(kWordStart, begin + kWordStart.size()), started.size());
            unigram_.encode(std::string_view(started).substr(begin, end - begin), ids);
            begin = end;
        }
    }
}

std::vector<std::int64_t> T5Tokenizer::tokenize(std::string_view prompt) const {
    if (prompt.size() > kMaxPromptBytes)
        usage_error("the prompt is {} bytes long, expected at most {}", prompt.size(), kMaxPromptBytes);
    std::vector<std::int64_t> ids;
    const auto text = valid_utf8(prompt);
    for (const auto& part : raw_finder_.split(text)) {
        if (part.id != TextPart::kText) {
            ids.push_back(part.id);
            continue;
        }
        const auto normalized = normalizer_.normalize(part.text);
        for (const auto& inner : normalized_finder_.split(normalized)) {
            if (inner.id != TextPart::kText)
                ids.push_back(inner.id);
            else
                encode_words(inner.text, ids);
        }
    }
    return ids;
}

T5Tokenizer::Encoded T5Tokenizer::encode(std::string_view prompt, std::int64_t max_tokens) const {
    if (max_tokens < 1) usage_error("{} text tokens; expected at least 1", max_tokens);
    const auto text = tokenize(prompt);
    const auto length = static_cast<std::size_t>(max_tokens);
    const auto kept = std::span(text).first(std::min(text.size(), length - 1));
    const auto lost = std::span(text).subspan(kept.size());

    Encoded encoded;
    encoded.ids.assign(kept.begin(), kept.end());
    encoded.ids.push_back(eos_id_);
    encoded.mask.assign(encoded.ids.size(), 1.0F);
    encoded.ids.resize(length, pad_id_);
    encoded.mask.resize(length, 0.0F);
    encoded.lost_count = lost.size();
    encoded.lost = decode(lost);
    return encoded;
}

std::string T5Tokenizer::decode(std::span<const std::int64_t> ids) const {
    std::string text;
    for (const auto id : ids)
        if (const auto token = tokens_.find(id); token != tokens_.end()) text += token->second;
    std::string spaced;
    for (std::size_t i = 0; i < text.size();) {
        const bool starts = text.compare(i, kWordStart.size(), kWordStart) == 0;
        if (!starts || i > 0) spaced += starts ? ' ' : text[i];
        i += starts ? kWordStart.size() : 1;
    }
    return spaced;
}

}  // namespace reprise
