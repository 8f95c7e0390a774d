// Random bytes as one file of a T5 tokenizer's folder, or as a part of one, which the first byte chooses:
// either a tokenizer that works or one line of error.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "files/json.h"
#include "reprise/error.h"
#include "text/t5_tokenizer.h"

namespace {

reprise::T5Files replace_one(std::uint8_t choice, std::string_view text) {
    static const auto kBoth =
        reprise::T5Files::load(std::filesystem::path(REPRISE_FIXTURES) / "text_t5" / "both");
    auto files = kBoth;
    if (choice % 6 < 2) {
        files.tokenizer.reset();
        files.sentencepiece = choice % 6 == 0 ? std::string(text) : *files.sentencepiece + std::string(text);
        return files;
    }
    const auto json = reprise::parse_json(text, "input");
    if (choice % 6 == 2) files.tokenizer = json;
    if (choice % 6 == 3) files.tokenizer->merge_patch(json);
    if (choice % 6 == 4) (*files.tokenizer)["model"]["vocab"] = json;
    if (choice % 6 == 5) files.config = json;
    return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    try {
        const reprise::T5Tokenizer tokenizer(replace_one(data[0], text));
        const auto encoded = tokenizer.encode("A photo of <extra_id_1> it's</s> caf\u00e9 12! \ufb01", 12);
        if (encoded.ids.size() != 12) std::abort();
        for (const auto id : encoded.ids)
            if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
    } catch (const reprise::Error& error) {
        if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
    }
    return 0;
}
