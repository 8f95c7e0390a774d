#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace reprise {
namespace {

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
    if (begin > 0) {
        auto position = begin;
        if (is_word_char(previous_char(text, position))) return false;
    }
    return end == text.size() || !is_word_char(next_char(text, end));
}

std::size_t skip_spaces_back(std::string_view text, std::size_t begin) {
    while (begin > 0) {
        auto position = begin;
        if (char_class(previous_char(text, position)) != CharClass::space) break;
        begin = position;
    }
    return begin;
}

std::size_t skip_spaces(std::string_view text, std::size_t end) {
    while (end < text.size()) {
        auto position = end;
        if (char_class(next_char(text, position)) != CharClass::space) break;
        end = position;
    }
    return end;
}

}  // namespace

bool AddedTokenFinder::add(const AddedToken& token, std::string_view pattern, std::int64_t id) {
    std::size_t node = 0;
    for (const char byte : pattern) {
        const auto [edge, is_new] = nodes_[node].next.try_emplace(byte, nodes_.size());
        node = edge->second;
        if (is_new) nodes_.emplace_back();
    }
    if (nodes_[node].entry != kNoEntry) return false;
    nodes_[node].entry = entries_.size();
    entries_.push_back({token, id});
    return true;
}

/// Length of the longest token at the start of the text, 0 for none.
std::size_t AddedTokenFinder::longest_match(std::string_view text, std::size_t& entry) const {
    std::size_t length = 0;
    std::size_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto edge = nodes_[node].next.find(text[i]);
        if (edge == nodes_[node].next.end()) break;
        node = edge->second;
        if (nodes_[node].entry == kNoEntry) continue;
        entry = nodes_[node].entry;
        length = i + 1;
    }
    return length;
}

std::vector<TextPart> AddedTokenFinder::split(std::string_view text) const {
    std::vector<TextPart> parts;
    std::size_t done = 0;  // all before this is in a part
    const auto add_text = [&](std::size_t end) {
        if (done < end) parts.push_back({text.substr(done, end - done), TextPart::kText});
    };
    for (std::size_t i = 0; i < text.size();) {
        std::size_t index = 0;
        const auto length = longest_match(text.substr(i), index);
        if (length == 0) {
            ++i;
            continue;
        }
        std::size_t begin = i;
        std::size_t end = i + length;
        i = end;
        const auto& [token, id] = entries_[index];
        if (token.single_word && !stands_alone(text, begin, end)) continue;
        if (token.lstrip) begin = std::max(skip_spaces_back(text, begin), done);
        if (token.rstrip) end = skip_spaces(text, end);
        begin = std::min(begin, end);
        add_text(begin);
        parts.push_back({text.substr(begin, end - begin), id});
        done = std::max(done, end);
    }
    add_text(text.size());
    return parts;
}

}  // namespace reprise
