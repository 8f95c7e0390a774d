#include "text/byte_pair.h"

#include <queue>
#include <tuple>

#include "files/printable.h"
#include "reprise/error.h"
#include "text/byte_level.h"

namespace reprise {
namespace {

constexpr std::uint64_t pair_key(std::uint32_t left, std::uint32_t right) {
    return (std::uint64_t{left} << 32U) | right;
}

/// A piece of the word, in a doubly linked list over an array.
struct Symbol {
    std::uint32_t id;
    std::size_t previous, next;
    bool merged_away = false;
};
constexpr auto kNone = static_cast<std::size_t>(-1);

struct Candidate {
    std::uint32_t rank, id;
    std::size_t position;
    bool operator>(const Candidate& other) const {
        return std::tie(rank, position) > std::tie(other.rank, other.position);
    }
};

}  // namespace

BytePair::BytePair(const Vocabulary& vocabulary, const Merges& merges, std::string_view unknown,
                   std::string_view file) {
    const auto unknown_token = vocabulary.find(std::string(unknown));
    const auto symbol_id = [&](const std::string& symbol) {
        if (const auto found = vocabulary.find(symbol); found != vocabulary.end()) return found->second;
        if (unknown_token == vocabulary.end())
            usage_error(
                "{}: the vocabulary lacks the byte symbol '{}' and the unknown token '{}'; expected at least "
                "one of them, so take the file from the model's folder again",
                file, symbol, printable(unknown));
        return unknown_token->second;
    };
    for (std::size_t byte = 0; byte < 256; ++byte) {
        inner_[byte] = symbol_id(byte_symbols()[byte]);
        last_[byte] = symbol_id(byte_symbols()[byte] + "</w>");
    }

    merges_.reserve(merges.size());
    std::uint32_t rank = 0;
    for (const auto& merge : merges) {
        const auto id_of = [&](const std::string& token) {
            const auto found = vocabulary.find(token);
            if (found == vocabulary.end())
                usage_error(
                    "{}: merge {} ('{}' '{}') needs the token '{}', which is not in the vocabulary; "
                    "vocabulary and merges must be of one model",
                    file, rank, printable(merge.first), printable(merge.second), printable(token));
            return found->second;
        };
        const auto key = pair_key(id_of(merge.first), id_of(merge.second));
        merges_.insert_or_assign(key, Merge{rank, id_of(merge.first + merge.second)});
        ++rank;
    }
}

const BytePair::Merge* BytePair::find(std::uint32_t left, std::uint32_t right) const {
    const auto found = merges_.find(pair_key(left, right));
    return found == merges_.end() ? nullptr : &found->second;
}

void BytePair::encode(std::string_view word, std::vector<std::int64_t>& ids) const {
    if (word.empty()) return;
    std::vector<Symbol> symbols(word.size());
    for (std::size_t i = 0; i < word.size(); ++i) {
        const bool is_last = i + 1 == word.size();
        const auto byte = static_cast<unsigned char>(word[i]);
        symbols[i] = {(is_last ? last_ : inner_)[byte], i == 0 ? kNone : i - 1, is_last ? kNone : i + 1};
    }

    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    const auto consider = [&](std::size_t position) {
        const auto& left = symbols[position];
        if (const Merge* merge = find(left.id, symbols[left.next].id))
            queue.push({merge->rank, merge->id, position});
    };
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) consider(i);

    while (!queue.empty()) {
        const Candidate top = queue.top();
        queue.pop();
        Symbol& left = symbols[top.position];
        if (left.merged_away || left.next == kNone) continue;
        Symbol& right = symbols[left.next];
        const Merge* merge = find(left.id, right.id);
        if (merge == nullptr || merge->id != top.id) continue;  // one of the two has changed since

        left.id = top.id;
        left.next = right.next;
        right.merged_away = true;
        if (left.next != kNone) symbols[left.next].previous = top.position;
        if (left.previous != kNone) consider(left.previous);
        if (left.next != kNone) consider(top.position);
    }
    for (std::size_t i = 0; i != kNone; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace reprise
