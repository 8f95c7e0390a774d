// Random bytes in place of one file of a tokenizer folder, which the first byte chooses: either a tokenizer
// that works or one line of error.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "files/json.h"
#include "reprise/error.h"
#include "text/clip_tokenizer.h"

namespace {

const reprise::ClipFiles& folder(const char* name) {
    static const auto kFixtures = std::filesystem::path(REPRISE_FIXTURES) / "text";
    static const auto kGaps = reprise::ClipFiles::load(kFixtures / "gaps");
    static const auto kFast = reprise::ClipFiles::load(kFixtures / "fast");
    return std::string_view(name) == "gaps" ? kGaps : kFast;
}

reprise::ClipFiles replace_one(std::uint8_t choice, std::string_view text) {
    const bool is_slow = choice % 8 < 5;
    auto files = folder(is_slow ? "gaps" : "fast");
    if (choice % 8 == 0) {
        files.merges = text;
        return files;
    }
    const auto json = reprise::parse_json(text, "input");
    switch (choice % 8) {
        case 1:
            files.vocabulary = json;
            break;
        case 2:
            files.config = json;
            break;
        case 3:
            files.special_tokens = json;
            break;
        case 4:
            files.added_tokens = json;
            break;
        case 5:
            files.tokenizer = json;
            break;
        case 6:
            (*files.tokenizer)["added_tokens"] = json;
            break;
        default:
            files.tokenizer->merge_patch(json);
            break;
    }
    return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    try {
        const reprise::ClipTokenizer tokenizer(replace_one(data[0], text));
        const auto encoded = tokenizer.encode("A photo of <toy> it's <|endoftext|> caf\u00e9 12!");
        for (const auto id : encoded.ids)
            if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
    } catch (const reprise::Error& error) {
        if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
    }
    return 0;
}
