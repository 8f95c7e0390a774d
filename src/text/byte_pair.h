#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace reprise {

/// Token to id.
using Vocabulary = std::unordered_map<std::string, std::uint32_t>;
/// Pairs of tokens in the order in which they are merged.
using Merges = std::vector<std::pair<std::string, std::string>>;

/// Byte-pair encoding over bytes, with "</w>" on the last symbol of a word (Sennrich et al. 2016; CLIP).
/// Immutable; may be used by several threads.
class BytePair {
  public:
    /// Usage error, which names `file`, for a merge whose parts or result are not in the vocabulary, and for
    /// a vocabulary that lacks both `unknown` and the symbol of some byte.
    BytePair(const Vocabulary& vocabulary, const Merges& merges, std::string_view unknown,
             std::string_view file);

    /// Appends the ids of one word, any bytes. Time and memory are of order n log n.
    void encode(std::string_view word, std::vector<std::int64_t>& ids) const;

  private:
    struct Merge {
        std::uint32_t rank;
        std::uint32_t id;  // of the merged token
    };

    const Merge* find(std::uint32_t left, std::uint32_t right) const;

    std::unordered_map<std::uint64_t, Merge> merges_;  // by left id * 2^32 + right id
    std::array<std::uint32_t, 256> inner_{};           // the symbol of each byte
    std::array<std::uint32_t, 256> last_{};            // the same with "</w>"
};

}  // namespace reprise
