#include "text/t5_files.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise {
namespace {

constexpr std::int64_t kMaxExtraIds = 4096;

/// A vocabulary and a normalizer, from either file.
struct Model {
    std::string file;
    std::vector<UnigramPiece> pieces;
    std::string charsmap;
};

std::string decode_base64(std::string_view text, const std::string& file) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while (text.ends_with('=')) text.remove_suffix(1);
    std::string bytes;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const auto digit = kDigits.find(c);
        if (digit == std::string_view::npos) usage_error("{}: \"precompiled_charsmap\" is not base64", file);
        bits = (bits << 6U | static_cast<std::uint32_t>(digit)) & 0xffffffU;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes += static_cast<char>((bits >> count) & 0xffU);
    }
    return bytes;
}

/// The map of the first "Precompiled" normalizer; others have no effect, as in transformers.
std::string read_charsmap(const Json& tokenizer, const std::string& file) {
    const auto normalizer = get_or(tokenizer, "normalizer", Json(), file);
    if (normalizer.is_null()) return {};
    auto all = Json::array({normalizer});
    if (get_or(normalizer, "type", "", file) == "Sequence")
        all = require<Json>(normalizer, "normalizers", file);
    if (!all.is_array()) usage_error("{}: normalizer.normalizers is {}, expected a list", file, shown(all));
    for (const auto& one : all)
        if (get_or(one, "type", "", file) == "Precompiled")
            return decode_base64(get_or(one, "precompiled_charsmap", "", file), file);
    return {};
}

/// `text $A </s>` is what every T5 has after tokenizing.
void check_post_processor(const Json& tokenizer, const std::string& file, const std::string& eos) {
    const auto processor = get_or(tokenizer, "post_processor", Json(), file);
    if (processor.is_null()) return;
    const auto is_sequence = [](const Json& part) {
        return part.is_object() && part.contains("Sequence") && part["Sequence"].is_object() &&
               part["Sequence"].value("id", Json()) == "A";
    };
    const auto is_eos = [&](const Json& part) {
        return part.is_object() && part.contains("SpecialToken") && part["SpecialToken"].is_object() &&
               part["SpecialToken"].value("id", Json()) == eos;
    };
    const auto single = get_or(processor, "single", Json(), file);
    if (get_or(processor, "type", "", file) != "TemplateProcessing" || !single.is_array() ||
        single.size() != 2 || !is_sequence(single[0]) || !is_eos(single[1]))
        usage_error(
            "{}: post_processor is {}, expected the text and then '{}', the \"eos_token\" of "
            "tokenizer_config.json",
            file, shown(processor), printable(eos));
}

Model read_tokenizer(const Json& tokenizer, const std::string& file) {
    Model result{file, {}, {}};
    const auto model = require<Json>(tokenizer, "model", file);
    if (const auto type = get_or(model, "type", "Unigram", file); type != "Unigram")
        usage_error("{}: model.type is '{}', expected 'Unigram', as T5's", file, printable(type));
    const auto unknown = get_or(model, "unk_id", T5Definition::kUnknownId, file);
    if (unknown != T5Definition::kUnknownId)
        usage_error("{}: model.unk_id is {}, expected {}, as T5's", file, unknown, T5Definition::kUnknownId);
    const auto vocabulary = require<Json>(model, "vocab", file);
    if (!vocabulary.is_array())
        usage_error("{}: model.vocab is {}, expected a list of pieces and scores", file, shown(vocabulary));
    result.pieces.reserve(vocabulary.size());
    for (const auto& entry : vocabulary) {
        if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
            usage_error("{}: model.vocab[{}] is {}, expected [\"piece\", score]", file, result.pieces.size(),
                        shown(entry));
        result.pieces.push_back({entry[0].get<std::string>(), entry[1].get<float>(), {}});
    }
    result.charsmap = read_charsmap(tokenizer, file);
    return result;
}

/// With the sentinels, which no spiece.model has.
Model read_sentencepiece(std::string_view bytes, const std::string& file, std::int64_t extra_ids) {
    auto model = SentencepieceModel::parse(bytes, file);
    if (model.unknown_id != T5Definition::kUnknownId)
        usage_error("{}: the unknown piece is {}, expected {}, as T5's", file, model.unknown_id,
                    T5Definition::kUnknownId);
    for (auto i = extra_ids; i-- > 0;) model.pieces.push_back({fmt::format("<extra_id_{}>", i), 0, {}});
    return {file, std::move(model.pieces), std::move(model.charsmap)};
}

/// Where two files of one folder differ first, or nothing.
std::string difference(const Model& a, const Model& b) {
    for (std::size_t i = 0; i < std::min(a.pieces.size(), b.pieces.size()); ++i) {
        if (a.pieces[i].text != b.pieces[i].text)
            return fmt::format("piece {} is '{}' in the one and '{}' in the other", i,
                               printable(a.pieces[i].text), printable(b.pieces[i].text));
        if (std::abs(a.pieces[i].score - b.pieces[i].score) > 1e-5F)
            return fmt::format("the score of piece {}, '{}', is {} in the one and {} in the other", i,
                               printable(a.pieces[i].text), a.pieces[i].score, b.pieces[i].score);
    }
    if (a.pieces.size() != b.pieces.size())
        return fmt::format("the one has {} pieces, the other {}", a.pieces.size(), b.pieces.size());
    return a.charsmap == b.charsmap ? "" : "they normalize text differently";
}

bool is_sentinel(const UnigramPiece& piece) {
    return piece.text.starts_with("<extra_id_");
}

}  // namespace

T5Files T5Files::load(const FileSet& folder) {
    constexpr const char* kModel = "spiece.model";
    T5Files files;
    files.TokenizerFiles::load(folder);
    if (folder.has(kModel)) files.sentencepiece = folder.text(kModel);
    if (!files.sentencepiece && !files.tokenizer)
        usage_error(
            "{}: has neither {} nor tokenizer.json; expected one of them, as in a diffusers model's "
            "folder of a T5 tokenizer",
            folder.where().string(), kModel);
    return files;
}

T5Definition::T5Definition(const T5Files& files) {
    const Config config = files.tokenizer_config();
    const auto extra_ids = config.get_or<std::int64_t>("extra_ids", 100);
    if (extra_ids < 0 || extra_ids > kMaxExtraIds)
        usage_error("{}: \"extra_ids\" is {}, expected 0 to {}", config.file, extra_ids, kMaxExtraIds);

    Model model;
    std::vector<AddedToken> further;  // of spiece.model: those of control and of the user
    if (files.sentencepiece)
        model = read_sentencepiece(*files.sentencepiece, (files.folder / "spiece.model").string(), extra_ids);
    for (const auto& piece : model.pieces)
        if (const bool is_control = piece.type == UnigramPiece::Type::control;
            is_control || piece.type == UnigramPiece::Type::user_defined || is_sentinel(piece))
            further.push_back(
                {piece.text, false, false, false, false, piece.type != UnigramPiece::Type::user_defined});
    if (files.tokenizer) {
        auto other = read_tokenizer(*files.tokenizer, (files.folder / "tokenizer.json").string());
        if (files.sentencepiece)
            if (const auto where = difference(other, model); !where.empty())
                spdlog::warn("{}: tokenizer.json and spiece.model disagree, and tokenizer.json is taken: {}",
                             files.folder.string(), where);
        model = std::move(other);
        further.clear();
        for (const auto& piece : model.pieces)
            if (is_sentinel(piece)) further.push_back({piece.text, false, false, false, false, true});
    }
    file = model.file;
    pieces = std::move(model.pieces);
    if (!model.charsmap.empty()) normalizer = PrecompiledMap(model.charsmap, file);

    std::unordered_set<std::string_view> known;
    for (const auto& piece : pieces) known.insert(piece.text);
    auto gathered = gather_tokens(
        files, config, {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}},
        [&](const std::string& token) { return known.contains(token); }, file);
    added_tokens = std::move(gathered.tokens);
    declared_ids = std::move(gathered.declared_ids);
    for (const auto& token : further) {
        const auto same = [&](const AddedToken& other) { return other.content == token.content; };
        if (std::any_of(added_tokens.begin(), added_tokens.end(), same)) continue;
        added_tokens.push_back(token);
        declared_ids.push_back(-1);
    }
    eos = gathered.named.at("eos_token");
    pad = gathered.named.at("pad_token");
    if (files.tokenizer) check_post_processor(*files.tokenizer, file, eos);
    split_special_tokens = read_split_special_tokens(files);
}

}  // namespace reprise
