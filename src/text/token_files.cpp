#include "text/token_files.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise {

std::string shown(const Json& value) {
    return printable(text_of(value));
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
        const bool in_range =
            value.is_number_integer() && value >= 0 && value.get<std::uint64_t>() <= kMaxTokenId;
        if (!in_range)
            usage_error("{}: the id of token '{}' is {}, expected an integer from 0 to {}", file,
                        printable(token), shown(value), kMaxTokenId);
        const auto id = value.get<std::uint32_t>();
        if (const auto [other, is_new] = tokens.try_emplace(id, token); !is_new)
            usage_error("{}: tokens '{}' and '{}' both have the id {}, expected one token for each id", file,
                        printable(other->second), printable(token), id);
        vocabulary.emplace(token, id);
    }
    return vocabulary;
}

namespace {

/// Usage error unless the key is absent or "right".
void require_right(const Config& config, std::string_view key) {
    if (const auto side = config.get_or(key, "right"); side != "right")
        usage_error("{}: \"{}\" is '{}', expected 'right', the only side that pipelines pad and cut",
                    config.file, key, printable(side));
}

constexpr std::size_t kMaxAddedTokens = 65536;
constexpr std::size_t kMaxAddedBytes = 1024;

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

class TokenGatherer {
  public:
    TokenGatherer(const TokenizerFiles& files, const Config& config,
                  const std::map<std::string, std::string>& defaults)
        : config_(config) {
        for (const auto& [key, fallback] : defaults)
            named_[key] = read_token(fallback, config.file, key, true);
        read_named(config.json, config.file);
        const bool padding_elsewhere = files.special_tokens && contains(*files.special_tokens, "pad_token");
        if (!padding_elsewhere) refuse_null(config, "pad_token");
        if (config.has("added_tokens_decoder")) {
            read_decoder(config.json.at("added_tokens_decoder"));
            return;
        }
        if (files.special_tokens) read_special_tokens_map(files);
        if (files.added_tokens && !files.added_tokens->empty()) read_added_tokens_file(files);
        if (files.tokenizer) read_tokenizer_added_tokens(files);
    }

    GatheredTokens gathered(const std::function<bool(const std::string&)>& is_known,
                            const std::string& vocabulary_file) const {
        GatheredTokens result;
        std::unordered_set<std::string_view> declared;
        for (const auto& [id, token] : declared_) declared.insert(token.content);
        const auto is_declared = [&](const std::string& content) { return declared.contains(content); };
        const auto add = [&](const AddedToken& token, std::int64_t id) {
            result.tokens.push_back(token);
            result.declared_ids.push_back(id);
        };
        for (const auto& [id, token] : declared_) {
            AddedToken marked = token;
            marked.special = token.special || is_named(token.content);
            add(marked, id);
        }
        for (const auto& key : ordered_names()) {
            const auto& token = named_.at(key);
            if (is_declared(token.content)) continue;
            if (!is_known(token.content))
                usage_error("{}: {} '{}' is not in the vocabulary of {}; expected one of its tokens",
                            config_.file, key, printable(token.content), vocabulary_file);
            add(token, -1);
        }
        for (const auto& token : extra_)
            if (!is_declared(token.content)) add(token, -1);
        if (result.tokens.size() > kMaxAddedTokens)
            usage_error("{}: {} added tokens, expected at most {}", config_.file, result.tokens.size(),
                        kMaxAddedTokens);
        for (const auto& [key, token] : named_) result.named.emplace(key, token.content);
        return result;
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

    static void refuse_null(const Config& config, std::string_view key) {
        if (config.is_null(key)) usage_error("{}: \"{}\" is null, expected a token", config.file, key);
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

    /// Of two tokens that are declared with one id the later one holds.
    void declare(std::int64_t id, AddedToken token) {
        declared_.erase(id);
        declared_.emplace(id, std::move(token));
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
            if (!is_id || std::stoll(key) > kMaxTokenId)
                usage_error("{}: \"{}\" has the key '{}', expected an id from 0 to {}", config_.file, kKey,
                            printable(key), kMaxTokenId);
            declare(std::stoll(key), read_token(value, config_.file, kKey, false));
        }
    }

    void read_special_tokens_map(const TokenizerFiles& files) {
        const Config special = files.special_tokens_config();
        refuse_null(special, "pad_token");
        if (!files.tokenizer)  // which has its own begin and end
            for (const auto* key : {"bos_token", "eos_token"}) refuse_null(special, key);
        read_named(special.json, special.file);
    }

    void read_added_tokens_file(const TokenizerFiles& files) {
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

    void read_tokenizer_added_tokens(const TokenizerFiles& files) {
        const auto file = (files.folder / "tokenizer.json").string();
        const auto list = get_or(*files.tokenizer, "added_tokens", Json::array(), file);
        if (!list.is_array())
            usage_error("{}: \"added_tokens\" is {}, expected a list of tokens", file, shown(list));
        for (const auto& value : list) {
            const auto id = require<std::int64_t>(value, "id", file);
            if (id < 0 || id > kMaxTokenId)
                usage_error("{}: an added token has the id {}, expected one from 0 to {}", file, id,
                            kMaxTokenId);
            // Both of two tokens with one id hold: the list's ids are not those that tokens get.
            declared_.emplace(id, read_token(value, file, "added_tokens", false));
        }
    }

    const Config& config_;
    std::map<std::string, AddedToken> named_;
    std::vector<AddedToken> extra_;
    std::multimap<std::int64_t, AddedToken> declared_;
};

}  // namespace

void TokenizerFiles::load(const FileSet& from) {
    folder = from.where();
    const auto read = [&](const char* name, std::optional<Json>& json) {
        if (from.has(name)) json = from.json(name);
    };
    read("tokenizer.json", tokenizer);
    read("tokenizer_config.json", config);
    read("special_tokens_map.json", special_tokens);
    read("added_tokens.json", added_tokens);
}

Config TokenizerFiles::tokenizer_config() const {
    Config result{config.value_or(Json::object()), (folder / "tokenizer_config.json").string()};
    if (!result.json.is_object())
        usage_error("{}: found {}, expected an object", result.file, shown(result.json));
    return result;
}

Config TokenizerFiles::special_tokens_config() const {
    Config result{Json::object(), (folder / "special_tokens_map.json").string()};
    if (!special_tokens || tokenizer_config().has("added_tokens_decoder")) return result;
    if (!special_tokens->is_object())
        usage_error("{}: found {}, expected an object of names and tokens", result.file,
                    shown(*special_tokens));
    result.json = *special_tokens;
    return result;
}

bool read_split_special_tokens(const TokenizerFiles& files) {
    bool result = false;
    for (const Config& config : {files.tokenizer_config(), files.special_tokens_config()}) {
        require_right(config, "padding_side");
        require_right(config, "truncation_side");
        result = config.get_or("split_special_tokens", result);
    }
    return result;
}

GatheredTokens gather_tokens(const TokenizerFiles& files, const Config& config,
                             const std::map<std::string, std::string>& defaults,
                             const std::function<bool(const std::string&)>& is_known,
                             const std::string& vocabulary_file) {
    return TokenGatherer(files, config, defaults).gathered(is_known, vocabulary_file);
}

}  // namespace reprise
