// Random bytes as a prompt for each kind of tokenizer folder: no crash, the right length, ids that are known.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "text/clip_tokenizer.h"

namespace {

const std::vector<reprise::ClipTokenizer>& tokenizers() {
    static const auto kTokenizers = [] {
        const auto fixtures = std::filesystem::path(REPRISE_FIXTURES) / "text";
        std::vector<reprise::ClipTokenizer> result;
        for (const auto* name : {"slow", "legacy_fast", "gaps"})
            result.push_back(reprise::ClipTokenizer::load(fixtures / name));
        return result;
    }();
    return kTokenizers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view prompt(reinterpret_cast<const char*>(data), size);
    for (const auto& tokenizer : tokenizers()) {
        const auto encoded = tokenizer.encode(prompt);
        if (static_cast<std::int64_t>(encoded.ids.size()) != tokenizer.max_length()) std::abort();
        for (const auto id : encoded.ids)
            if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
        if (encoded.lost_count == 0 && !encoded.lost.empty()) std::abort();
    }
    return 0;
}
