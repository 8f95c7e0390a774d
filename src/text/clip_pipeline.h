#pragma once

#include <string>
#include <string_view>

#include "files/json.h"

namespace reprise {

/// Usage error, naming file, key, what was found and what was expected, unless the normalizer, splitter,
/// model, decoder, post-processor, padding and truncation of a tokenizer.json are those of CLIP.
void check_clip_pipeline(const Json& tokenizer, const std::string& file, std::string_view bos,
                         std::string_view eos);

}  // namespace reprise
