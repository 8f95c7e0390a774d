#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

/// A token that is recognised in the text as it stands, before words are split (a begin or end token, one
/// of a textual inversion). The fields are those of tokenizer.json.
struct AddedToken {
    std::string content;
    bool single_word = false;  ///< only where no word character is next to it
    bool lstrip = false;       ///< takes the white space before it, too
    bool rstrip = false;       ///< takes the white space after it, too
    bool normalized = true;  ///< sought, in normalized form, in the normalized text, else in the text itself
    bool special = false;    ///< text only when special tokens are to be split as other text
};

/// A part of a text: an added token, or text between such.
struct TextPart {
    static constexpr std::int64_t kText = -1;
    std::string_view text;
    std::int64_t id = kText;
};

/// Finds added tokens, leftmost and then longest. Time is of order text length * longest token.
class AddedTokenFinder {
  public:
    /// `pattern` is what to look for: the token's content or its normalized form. False, and nothing is
    /// added, when another token has the same pattern.
    bool add(const AddedToken& token, std::string_view pattern, std::int64_t id);

    /// The parts of well-formed UTF-8, none empty. They view `text`.
    std::vector<TextPart> split(std::string_view text) const;

  private:
    static constexpr std::size_t kNoEntry = static_cast<std::size_t>(-1);
    struct Node {
        std::map<char, std::size_t> next;
        std::size_t entry = kNoEntry;
    };
    struct Entry {
        AddedToken token;
        std::int64_t id;
    };

    std::size_t longest_match(std::string_view text, std::size_t& entry) const;

    std::vector<Node> nodes_ = std::vector<Node>(1);  // a trie over bytes, the root first
    std::vector<Entry> entries_;
};

}  // namespace reprise
