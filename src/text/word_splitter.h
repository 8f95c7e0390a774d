#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reprise {

/// What CLIP's tokenizer makes of a text before it looks for words: normal form C, white space collapsed,
/// lower case.
std::string normalize_for_clip(std::string_view utf8);

/// The words of a normalized text, as CLIP splits it: English contractions, runs of letters, single numbers,
/// runs of anything else but space. The words view `text`.
std::vector<std::string_view> split_clip_words(std::string_view text);

}  // namespace reprise
