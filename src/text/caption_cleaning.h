#pragma once

#include <string>
#include <string_view>

namespace reprise {

/// What diffusers' DeepFloyd and PixArt pipelines make of a prompt with `clean_caption`: links, markup,
/// entities, addresses, file names, advertisements and most punctuation are taken out, the rest is
/// lower-cased; twice, as there. Of the ftfy library, which they use in between, the repair of text in broken
/// encodings is left out. Usage error for a prompt of more than 16 KiB.
std::string clean_caption(std::string_view caption);

/// What they make of it otherwise: lower case, without white space at its ends.
std::string lower_caption(std::string_view caption);

}  // namespace reprise
