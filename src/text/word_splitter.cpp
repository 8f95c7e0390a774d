#include "text/word_splitter.h"

#include "text/unicode.h"

namespace reprise {
namespace {

/// Words that CLIP's pattern lists before the general classes. The long ones are split again, after their
/// end is fixed, by the byte-level step, whose pattern does not have them.
constexpr std::string_view kMarkers[] = {"<|startoftext|>", "<|endoftext|>"};
constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

/// Length of the run of characters of one class at the start of the text.
std::size_t run_length(std::string_view text, CharClass wanted) {
    std::size_t end = 0;
    while (end < text.size()) {
        auto next = end;
        if (char_class(next_char(text, next)) != wanted) break;
        end = next;
    }
    return end;
}

}  // namespace

std::string normalize_for_clip(std::string_view utf8) {
    const auto composed = compose(utf8);
    std::string result;
    result.reserve(composed.size());
    bool after_space = false;
    for (std::size_t i = 0; i < composed.size();) {
        const auto c = next_char(composed, i);
        const bool is_space = char_class(c) == CharClass::space;
        if (!is_space)
            append_lower(result, c);
        else if (!after_space)
            result += ' ';
        after_space = is_space;
    }
    return result;
}

std::vector<std::string_view> split_clip_words(std::string_view text) {
    std::vector<std::string_view> words;
    const auto take = [&](std::size_t length) {
        words.push_back(text.substr(0, length));
        text.remove_prefix(length);
    };
    const auto take_listed = [&] {
        for (const auto marker : kMarkers) {
            if (!text.starts_with(marker)) continue;
            take(2);
            take(marker.size() - 4);
            take(2);
            return true;
        }
        for (const auto contraction : kContractions) {
            if (!text.starts_with(contraction)) continue;
            take(contraction.size());
            return true;
        }
        return false;
    };
    while (!text.empty()) {
        std::size_t next = 0;
        const auto kind = char_class(next_char(text, next));
        if (kind == CharClass::space)
            text.remove_prefix(next);
        else if (!take_listed())
            take(kind == CharClass::number ? next : run_length(text, kind));
    }
    return words;
}

}  // namespace reprise
