#include "text/clip_files.h"

#include <algorithm>
#include <cmath>

#include "files/printable.h"
#include "reprise/error.h"
#include "text/clip_pipeline.h"

namespace reprise {
namespace {

constexpr std::int64_t kDefaultMaxLength = 77;
constexpr std::int64_t kMaxMaxLength = 65536;  // above, model_max_length stands for "no limit known"

/// The two parts of "left right". Usage error, which names `where`, for any other text.
std::pair<std::string, std::string> split_merge(std::string_view text, const std::string& file,
                                                std::string_view where) {
    const auto space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos)
        usage_error("{}: {} is '{}', expected two tokens with a space between", file, where, printable(text));
    return {std::string(text.substr(0, space)), std::string(text.substr(space + 1))};
}

Merges read_merge_list(const Json& json, const std::string& file) {
    if (!json.is_array())
        usage_error("{}: model.merges is {}, expected a list of pairs of tokens", file, shown(json));
    Merges merges;
    merges.reserve(json.size());
    for (const auto& merge : json) {
        const auto where = fmt::format("model.merges[{}]", merges.size());
        if (merge.is_string())
            merges.push_back(split_merge(merge.get_ref<const std::string&>(), file, where));
        else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
            merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
        else
            usage_error("{}: {} is {}, expected \"left right\" or [\"left\", \"right\"]", file, where,
                        shown(merge));
    }
    return merges;
}

Merges read_merge_lines(std::string_view text, const std::string& file) {
    Merges merges;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || line.starts_with("#version")) continue;
        merges.push_back(split_merge(line, file, fmt::format("line {}", number)));
    }
    return merges;
}

std::int64_t read_max_length(const Config& config) {
    const auto key = config.has("model_max_length") ? "model_max_length" : "max_len";
    const auto value = config.find<double>(key);
    if (!value || *value > static_cast<double>(kMaxMaxLength)) return kDefaultMaxLength;
    if (!(*value >= 3) || *value != std::floor(*value))
        usage_error("{}: \"{}\" is {}, expected an integer of at least 3 (begin, end and one token)",
                    config.file, key, *value);
    return static_cast<std::int64_t>(*value);
}

}  // namespace

ClipFiles ClipFiles::load(const FileSet& folder) {
    ClipFiles files;
    files.TokenizerFiles::load(folder);
    if (files.tokenizer) return files;
    for (const auto* name : {"vocab.json", "merges.txt"})
        if (!folder.has(name))
            usage_error(
                "{}: has neither tokenizer.json nor {}; expected tokenizer.json, or vocab.json with "
                "merges.txt, as in a diffusers model's tokenizer folder",
                folder.where().string(), name);
    files.vocabulary = folder.json("vocab.json");
    files.merges = folder.text("merges.txt");
    return files;
}

ClipDefinition::ClipDefinition(const ClipFiles& files) {
    const Config config = files.tokenizer_config();
    if (files.tokenizer) {
        file = (files.folder / "tokenizer.json").string();
        const auto model = require<Json>(*files.tokenizer, "model", file);
        vocabulary = read_vocabulary(require<Json>(model, "vocab", file), file, "model.vocab");
        merges = read_merge_list(require<Json>(model, "merges", file), file);
    } else {
        file = (files.folder / "vocab.json").string();
        vocabulary = read_vocabulary(files.vocabulary.value_or(Json()), file, "the file");
        merges = read_merge_lines(files.merges, (files.folder / "merges.txt").string());
    }
    auto gathered = gather_tokens(
        files, config,
        {{"bos_token", "<|startoftext|>"},
         {"eos_token", "<|endoftext|>"},
         {"unk_token", "<|endoftext|>"},
         {"pad_token", "<|endoftext|>"}},
        [&](const std::string& token) { return vocabulary.contains(token); }, file);
    added_tokens = std::move(gathered.tokens);
    declared_ids = std::move(gathered.declared_ids);
    bos = gathered.named.at("bos_token");
    eos = gathered.named.at("eos_token");
    pad = gathered.named.at("pad_token");
    unknown = gathered.named.at("unk_token");
    if (files.tokenizer) check_clip_pipeline(*files.tokenizer, file, bos, eos);
    split_special_tokens = read_split_special_tokens(files);
    max_length = read_max_length(config);
}

}  // namespace reprise
