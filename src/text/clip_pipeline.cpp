#include "text/clip_pipeline.h"

#include <algorithm>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise {
namespace {

const Json& at(const Json& json, std::string_view key) {
    static const Json kNothing;
    if (!json.is_object()) return kNothing;
    const auto found = json.find(key);
    return found == json.end() ? kNothing : *found;
}

[[noreturn]] void not_clip(const std::string& file, std::string_view key, const Json& found,
                           std::string_view expected) {
    usage_error("{}: {} is {}, but CLIP's is {}; this is the tokenizer of another kind of model", file, key,
                printable(text_of(found), 160), expected);
}

bool is_sequence(const Json& json, std::string_view list, std::initializer_list<const char*> types) {
    const auto& parts = at(json, list);
    return at(json, "type") == "Sequence" && parts.is_array() &&
           std::equal(parts.begin(), parts.end(), types.begin(), types.end(),
                      [](const Json& part, const char* type) { return at(part, "type") == type; });
}

void check_normalizer(const Json& normalizer, const std::string& file) {
    const bool good = is_sequence(normalizer, "normalizers", {"NFC", "Replace", "Lowercase"}) &&
                      at(at(normalizer["normalizers"][1], "pattern"), "Regex") == "\\s+" &&
                      at(normalizer["normalizers"][1], "content") == " ";
    if (!good) not_clip(file, "normalizer", normalizer, "NFC, Replace of \\s+ by a space, Lowercase");
}

void check_splitter(const Json& splitter, const std::string& file) {
    constexpr std::string_view kWords = R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
    constexpr auto kKey = "pre_tokenizer";
    if (!is_sequence(splitter, "pretokenizers", {"Split", "ByteLevel"}))
        not_clip(file, kKey, splitter, "Split followed by ByteLevel");
    const auto& split = splitter["pretokenizers"][0];
    const auto& pattern = at(at(split, "pattern"), "Regex");
    const bool known =
        pattern.is_string() &&
        (pattern == kWords || pattern == R"(<\|startoftext\|>|<\|endoftext\|>|)" + std::string(kWords));
    if (!known || at(split, "behavior") != "Removed" || at(split, "invert") != true)
        not_clip(file, kKey, split, "an inverted Split by " + std::string(kWords));
    const auto& bytes = splitter["pretokenizers"][1];
    if (at(bytes, "add_prefix_space") != false || at(bytes, "use_regex") == false)
        not_clip(file, kKey, bytes, "ByteLevel without add_prefix_space and with use_regex");
}

void check_model(const Json& model, const std::string& file) {
    if (const auto& type = at(model, "type"); !type.is_null() && type != "BPE")
        not_clip(file, "model.type", type, "BPE");
    if (const auto& suffix = at(model, "end_of_word_suffix"); suffix != "</w>")
        not_clip(file, "model.end_of_word_suffix", suffix, "</w>");
    if (const auto& prefix = at(model, "continuing_subword_prefix"); !prefix.is_null() && prefix != "")
        not_clip(file, "model.continuing_subword_prefix", prefix, "empty");
    if (const auto& dropout = at(model, "dropout"); !dropout.is_null() && dropout != 0)
        not_clip(file, "model.dropout", dropout, "null");
    for (const auto* key : {"byte_fallback", "ignore_merges"})
        if (const auto& value = at(model, key); !value.is_null() && value != false)
            not_clip(file, std::string("model.") + key, value, "false");
}

/// Whether the post-processor puts `bos` before and `eos` behind the text.
bool adds_begin_and_end(const Json& processor, std::string_view bos, std::string_view eos) {
    const auto& type = at(processor, "type");
    if (type == "RobertaProcessing") {
        const auto first_is = [&](std::string_view key, std::string_view token) {
            const auto& pair = at(processor, key);
            return pair.is_array() && !pair.empty() && pair[0] == token;
        };
        return first_is("cls", bos) && first_is("sep", eos);
    }
    const auto& single = at(processor, "single");
    return type == "TemplateProcessing" && single.is_array() && single.size() == 3 &&
           at(at(single[0], "SpecialToken"), "id") == bos && !at(single[1], "Sequence").is_null() &&
           at(at(single[2], "SpecialToken"), "id") == eos;
}

}  // namespace

void check_clip_pipeline(const Json& tokenizer, const std::string& file, std::string_view bos,
                         std::string_view eos) {
    check_model(at(tokenizer, "model"), file);
    check_normalizer(at(tokenizer, "normalizer"), file);
    check_splitter(at(tokenizer, "pre_tokenizer"), file);
    if (const auto& decoder = at(tokenizer, "decoder"); at(decoder, "type") != "ByteLevel")
        not_clip(file, "decoder", decoder, "ByteLevel");
    if (const auto& processor = at(tokenizer, "post_processor"); !adds_begin_and_end(processor, bos, eos))
        not_clip(
            file, "post_processor", processor,
            fmt::format("one that puts tokenizer_config.json's bos_token '{}' before and its eos_token '{}' "
                        "behind the text",
                        printable(bos), printable(eos)));
    for (const auto* key : {"truncation", "padding"})
        if (const auto& value = at(tokenizer, key); !value.is_null() && at(value, "direction") != "Right")
            not_clip(file, key, value, "null, or to the right");
}

}  // namespace reprise
