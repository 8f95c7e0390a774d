#include "text/clip_files.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_set>

#include "io/printable.h"
#include "reprise/error.h"
#include "text/clip_pipeline.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxId = (std::int64_t{1} << 24U) - 1;
constexpr std::size_t kMaxAddedTokens = 65536;
constexpr std::size_t kMaxAddedBytes = 1024;
constexpr std::int64_t kDefaultMaxLength = 77;
constexpr std::int64_t kMaxMaxLength = 65536;  // above, model_max_length stands for "no limit known"

std::string shown(const Json& value) {
    return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Vocabulary read_vocabulary(const Json& json, const std::string& file, std::string_view key) {
    if (!json.is_object())
        usage_error("{}: {} is {}, expected an object of tokens and their ids", file, key, shown(json));
    if (json.empty()) usage_error("{}: {} is empty, expected tokens and their ids", file, key);
    Vocabulary vocabulary;
    vocabulary.reserve(json.size());
    std::unordered_map<std::int64_t, std::string_view> tokens;
    tokens.reserve(json.size());
    for (const auto& [token, value] : json.items()) {
        const bool in_range = value.is_number_integer() && value >= 0 && value.get<std::uint64_t>() <= kMaxId;
        if (!in_range)
            usage_error("{}: the id of token '{}' is {}, expected an integer from 0 to {}", file,
                        printable(token), shown(value), kMaxId);
        const auto id = value.get<std::uint32_t>();
        if (const auto [other, is_new] = tokens.try_emplace(id, token); !is_new)
            usage_error("{}: tokens '{}' and '{}' both have the id {}, expected one token for each id", file,
                        printable(other->second), printable(token), id);
        vocabulary.emplace(token, id);
    }
    return vocabulary;
}

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

/// A token as written: "text" or {"content": "text", ...}. One that has a name (`bos_token`) is special.
AddedToken read_token(const Json& value, const std::string& file, std::string_view key, bool has_name) {
    AddedToken token;
    token.special = has_name;
    if (value.is_string()) {
        token.content = value.get<std::string>();
        token.special = true;
        token.normalized = false;
    } else if (value.is_object() && value.contains("content")) {
        token.content = require<std::string>(value, "content", file);
        token.special = has_name || get_or(value, "special", false, file);
        token.normalized = get_or(value, "normalized", !token.special, file);
        token.single_word = get_or(value, "single_word", false, file);
        token.lstrip = get_or(value, "lstrip", false, file);
        token.rstrip = get_or(value, "rstrip", false, file);
    } else {
        usage_error("{}: \"{}\" is {}, expected a string or an object with \"content\"", file, key,
                    shown(value));
    }
    if (token.content.empty() || token.content.size() > kMaxAddedBytes)
        usage_error("{}: \"{}\" is a token of {} bytes, expected 1 to {}", file, key, token.content.size(),
                    kMaxAddedBytes);
    return token;
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

void require_right(const Config& config, std::string_view key) {
    if (const auto side = config.get_or(key, "right"); side != "right")
        usage_error("{}: \"{}\" is '{}', expected 'right', the only side that CLIP pipelines pad and cut",
                    config.file, key, printable(side));
}

/// Gathers the added tokens of all files by transformers 5's rules: `added_tokens_decoder` of
/// tokenizer_config.json counts alone when it is there; else special_tokens_map.json overrides
/// tokenizer_config.json, and added_tokens.json and tokenizer.json declare ids.
class TokenGatherer {
  public:
    TokenGatherer(const ClipFiles& files, const Config& config) : config_(config) {
        for (const auto& [key, fallback] : {std::pair{"bos_token", "<|startoftext|>"},
                                            {"eos_token", "<|endoftext|>"},
                                            {"unk_token", "<|endoftext|>"},
                                            {"pad_token", "<|endoftext|>"}})
            named_[key] = read_token(fallback, config.file, key, true);
        read_named(config.json, config.file);
        if (config.has("added_tokens_decoder")) {
            read_decoder(config.json.at("added_tokens_decoder"));
            return;
        }
        if (files.special_tokens) read_special_tokens_map(files);
        if (files.added_tokens && !files.added_tokens->empty()) read_added_tokens_file(files);
        if (files.tokenizer) read_tokenizer_added_tokens(files);
    }

    void store(ClipDefinition& definition) const {
        const auto is_declared = [&](const std::string& content) { return contents_.contains(content); };
        const auto add = [&](const AddedToken& token, std::int64_t id) {
            definition.added_tokens.push_back(token);
            definition.declared_ids.push_back(id);
        };
        for (const auto& [id, token] : declared_) {
            AddedToken marked = token;
            marked.special = token.special || is_named(token.content);
            add(marked, id);
        }
        for (const auto& key : ordered_names()) {
            const auto& token = named_.at(key);
            if (is_declared(token.content)) continue;
            if (!definition.vocabulary.contains(token.content))
                usage_error("{}: {} '{}' is not in the vocabulary of {}; expected one of its tokens",
                            config_.file, key, printable(token.content), definition.file);
            add(token, -1);
        }
        for (const auto& token : extra_)
            if (!is_declared(token.content)) add(token, -1);
        if (definition.added_tokens.size() > kMaxAddedTokens)
            usage_error("{}: {} added tokens, expected at most {}", config_.file,
                        definition.added_tokens.size(), kMaxAddedTokens);
        definition.bos = named_.at("bos_token").content;
        definition.eos = named_.at("eos_token").content;
        definition.pad = named_.at("pad_token").content;
        definition.unknown = named_.at("unk_token").content;
    }

  private:
    static constexpr const char* kStandardNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                     "pad_token", "cls_token", "mask_token"};

    static bool is_standard(std::string_view key) {
        return std::find(std::begin(kStandardNames), std::end(kStandardNames), key) !=
               std::end(kStandardNames);
    }

    /// Standard names first: of two names for one token the later one's flags count.
    std::vector<std::string> ordered_names() const {
        std::vector<std::string> names;
        for (const auto* name : kStandardNames)
            if (named_.contains(name)) names.emplace_back(name);
        for (const auto& [name, token] : named_)
            if (!is_standard(name)) names.push_back(name);
        return names;
    }

    bool is_named(const std::string& content) const {
        return std::any_of(named_.begin(), named_.end(),
                           [&](const auto& entry) { return entry.second.content == content; });
    }

    void read_named(const Json& json, const std::string& file) {
        for (const auto& [key, value] : json.items()) {
            if (value.is_null()) continue;
            const bool is_text = value.is_string() || value.is_object();
            const bool is_token = is_standard(key) || (key.ends_with("_token") && is_text);
            if (is_token) named_[key] = read_token(value, file, key, true);
        }
        const bool has_extra = json.contains("extra_special_tokens") && !json["extra_special_tokens"].empty();
        const auto* key = has_extra ? "extra_special_tokens" : "additional_special_tokens";
        if (!json.contains(key) || json[key].is_null()) return;
        const auto& extra = json[key];
        if (extra.is_object()) {
            for (const auto& [name, value] : extra.items())
                named_[name] = read_token(value, file, name, true);
        } else if (extra.is_array()) {
            for (const auto& value : extra) extra_.push_back(read_token(value, file, key, true));
        } else {
            usage_error("{}: \"{}\" is {}, expected a list of tokens", file, key, shown(extra));
        }
    }

    void declare(std::int64_t id, AddedToken token) {
        contents_.insert(token.content);
        declared_.insert_or_assign(id, std::move(token));
    }

    void read_decoder(const Json& decoder) {
        constexpr auto kKey = "added_tokens_decoder";
        if (!decoder.is_object())
            usage_error("{}: \"{}\" is {}, expected an object of ids and tokens", config_.file, kKey,
                        shown(decoder));
        for (const auto& [key, value] : decoder.items()) {
            const bool is_id =
                !key.empty() && key.size() <= 8 &&
                std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
            if (!is_id || std::stoll(key) > kMaxId)
                usage_error("{}: \"{}\" has the key '{}', expected an id from 0 to {}", config_.file, kKey,
                            printable(key), kMaxId);
            declare(std::stoll(key), read_token(value, config_.file, kKey, false));
        }
    }

    void read_special_tokens_map(const ClipFiles& files) {
        const auto file = (files.folder / "special_tokens_map.json").string();
        if (!files.special_tokens->is_object())
            usage_error("{}: found {}, expected an object of names and tokens", file,
                        shown(*files.special_tokens));
        read_named(*files.special_tokens, file);
    }

    void read_added_tokens_file(const ClipFiles& files) {
        const auto file = (files.folder / "added_tokens.json").string();
        const auto is_extra = [&](const std::string& content) {
            return std::any_of(extra_.begin(), extra_.end(),
                               [&](const AddedToken& extra) { return extra.content == content; });
        };
        for (const auto& [content, id] : read_vocabulary(*files.added_tokens, file, "the file")) {
            AddedToken token = read_token(content, file, "token", false);
            token.special = is_named(content) || is_extra(content);
            token.normalized = !token.special;
            declare(id, token);
        }
    }

    void read_tokenizer_added_tokens(const ClipFiles& files) {
        const auto file = (files.folder / "tokenizer.json").string();
        const auto list = get_or(*files.tokenizer, "added_tokens", Json::array(), file);
        if (!list.is_array())
            usage_error("{}: \"added_tokens\" is {}, expected a list of tokens", file, shown(list));
        for (const auto& value : list) {
            const auto id = require<std::int64_t>(value, "id", file);
            if (id < 0 || id > kMaxId)
                usage_error("{}: an added token has the id {}, expected one from 0 to {}", file, id, kMaxId);
            declare(id, read_token(value, file, "added_tokens", false));
        }
    }

    const Config& config_;
    std::map<std::string, AddedToken> named_;
    std::vector<AddedToken> extra_;
    std::map<std::int64_t, AddedToken> declared_;
    std::unordered_set<std::string> contents_;  // of declared_
};

}  // namespace

ClipFiles ClipFiles::load(const fs::path& folder) {
    ClipFiles files;
    files.folder = folder;
    const auto exists = [&](const char* name) {
        std::error_code error;
        return fs::exists(folder / name, error);
    };
    const auto load = [&](const char* name, std::optional<Json>& json) {
        if (exists(name)) json = load_json(folder / name);
    };
    load("tokenizer.json", files.tokenizer);
    if (!files.tokenizer) {
        for (const auto* name : {"vocab.json", "merges.txt"})
            if (!exists(name))
                usage_error(
                    "{}: has neither tokenizer.json nor {}; expected tokenizer.json, or vocab.json with "
                    "merges.txt, as in a diffusers model's tokenizer folder",
                    folder.string(), name);
        load("vocab.json", files.vocabulary);
        files.merges = read_text_file(folder / "merges.txt");
    }
    load("tokenizer_config.json", files.config);
    load("special_tokens_map.json", files.special_tokens);
    load("added_tokens.json", files.added_tokens);
    return files;
}

ClipDefinition::ClipDefinition(const ClipFiles& files) {
    Config config{files.config.value_or(Json::object()), (files.folder / "tokenizer_config.json").string()};
    if (!config.json.is_object())
        usage_error("{}: found {}, expected an object", config.file, shown(config.json));
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
    TokenGatherer(files, config).store(*this);
    if (files.tokenizer) check_clip_pipeline(*files.tokenizer, file, bos, eos);
    require_right(config, "padding_side");
    require_right(config, "truncation_side");
    split_special_tokens = config.get_or("split_special_tokens", false);
    max_length = read_max_length(config);
}

}  // namespace reprise
