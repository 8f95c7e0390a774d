#include "text/unigram.h"

#include <sentencepiece_processor.h>

#include <bit>
#include <cmath>
#include <optional>
#include <unordered_set>

#include "files/printable.h"
#include "reprise/error.h"
#include "text/token_files.h"
#include "text/unicode.h"

namespace reprise {
namespace {

// The numbers of sentencepiece_model.proto.
constexpr std::uint32_t kPieces = 1, kTrainer = 2, kNormalizer = 3;
constexpr std::uint32_t kPieceText = 1, kPieceScore = 2, kPieceType = 3;
constexpr std::uint32_t kModelType = 3, kUnknownId = 40;
constexpr std::uint32_t kCharsmap = 2, kDummyPrefix = 3, kExtraWhitespace = 4, kEscapeWhitespace = 5;
constexpr std::uint64_t kUnigramType = 1;
constexpr std::size_t kMaxPieceBytes = 1024;

enum WireType : std::uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
    std::uint32_t number = 0;
    std::uint64_t value = 0;  ///< of varint, fixed32 and fixed64
    std::string_view bytes;
};

/// Reads the fields of one message.
class MessageReader {
  public:
    MessageReader(std::string_view message, const std::string& file) : rest_(message), file_(file) {}

    /// The next field, or nothing at the end.
    std::optional<Field> next() {
        if (rest_.empty()) return std::nullopt;
        const auto tag = read_varint();
        Field field;
        field.number = static_cast<std::uint32_t>(tag >> 3U);
        switch (tag & 7U) {
            case WireType::varint:
                field.value = read_varint();
                break;
            case WireType::fixed32:
                field.value = read_fixed(4);
                break;
            case WireType::fixed64:
                field.value = read_fixed(8);
                break;
            case WireType::bytes:
                field.bytes = take(read_varint());
                break;
            default:
                broken();
        }
        return field;
    }

  private:
    [[noreturn]] void broken() const {
        usage_error("{}: is not a sentencepiece model; expected a protobuf message of pieces", file_);
    }
    std::string_view take(std::uint64_t count) {
        if (count > rest_.size()) broken();
        const auto result = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return result;
    }
    std::uint64_t read_varint() {
        std::uint64_t result = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto byte = static_cast<std::uint8_t>(take(1)[0]);
            result |= std::uint64_t{byte & 0x7fU} << shift;
            if (byte < 0x80) return result;
        }
        broken();
    }
    std::uint64_t read_fixed(std::size_t count) {
        const auto raw = take(count);
        std::uint64_t result = 0;
        for (std::size_t i = count; i-- > 0;) result = (result << 8U) | static_cast<std::uint8_t>(raw[i]);
        return result;
    }

    std::string_view rest_;
    const std::string& file_;
};

UnigramPiece read_piece(std::string_view message, const std::string& file) {
    UnigramPiece piece;
    MessageReader reader(message, file);
    while (const auto field = reader.next()) {
        if (field->number == kPieceText) piece.text = field->bytes;
        if (field->number == kPieceScore)
            piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
        if (field->number == kPieceType)
            piece.type = static_cast<UnigramPiece::Type>(
                field->value >= 1 && field->value <= 6 ? field->value : std::uint64_t{1});
    }
    return piece;
}

void write_varint(std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) out += static_cast<char>((value & 0x7fU) | 0x80U);
    out += static_cast<char>(value);
}

void write_number(std::string& out, std::uint32_t number, std::uint64_t value) {
    write_varint(out, number << 3U);
    write_varint(out, value);
}

void write_bytes(std::string& out, std::uint32_t number, std::string_view value) {
    write_varint(out, number << 3U | WireType::bytes);
    write_varint(out, value.size());
    out += value;
}

void write_float(std::string& out, std::uint32_t number, float value) {
    write_varint(out, number << 3U | WireType::fixed32);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>((bits >> shift) & 0xffU);
}

/// So that sums of a word's scores are exact in f32 and those of the same pieces in another order equal, as
/// they are in the reference's f64.
float rounded(float score) {
    constexpr float kSteps = 1 << 14;
    return std::round(score * kSteps) / kSteps;
}

std::string serialized_piece(std::string_view text, float score, UnigramPiece::Type type) {
    std::string piece;
    write_bytes(piece, kPieceText, text);
    write_float(piece, kPieceScore, rounded(score));
    write_number(piece, kPieceType, static_cast<std::uint64_t>(type));
    return piece;
}

/// A model that takes words as they are. Its unknown piece has a text that no word has; the text that it is
/// written as, which may be found as any other, is one more piece at the end.
std::string serialized(const std::vector<UnigramPiece>& pieces, std::int64_t unknown_id) {
    constexpr std::string_view kNowhere = "\x01";
    std::string model;
    for (std::size_t id = 0; id < pieces.size(); ++id) {
        const bool is_unknown = static_cast<std::int64_t>(id) == unknown_id;
        const auto type = is_unknown ? UnigramPiece::Type::unknown : UnigramPiece::Type::normal;
        write_bytes(model, kPieces,
                    serialized_piece(is_unknown ? kNowhere : pieces[id].text, pieces[id].score, type));
    }
    const auto& unknown = pieces[static_cast<std::size_t>(unknown_id)];
    write_bytes(model, kPieces, serialized_piece(unknown.text, unknown.score, UnigramPiece::Type::normal));
    std::string trainer;
    write_number(trainer, kModelType, kUnigramType);
    write_number(trainer, kUnknownId, static_cast<std::uint64_t>(unknown_id));
    write_bytes(model, kTrainer, trainer);
    std::string normalizer;
    for (const auto flag : {kDummyPrefix, kExtraWhitespace, kEscapeWhitespace})
        write_number(normalizer, flag, 0);
    write_bytes(model, kNormalizer, normalizer);
    return model;
}

void check(const std::vector<UnigramPiece>& pieces, std::int64_t unknown_id, const std::string& file) {
    const auto count = static_cast<std::int64_t>(pieces.size());
    if (count < 2 || count > kMaxTokenId + 1)
        usage_error("{}: has {} pieces, expected 2 to {}", file, count, kMaxTokenId + 1);
    if (unknown_id < 0 || unknown_id >= count)
        usage_error("{}: the unknown piece is {}, expected one of {} pieces", file, unknown_id, count);
    std::unordered_set<std::string_view> seen;
    seen.reserve(pieces.size());
    for (std::size_t id = 0; id < pieces.size(); ++id) {
        const auto& [text, score, type] = pieces[id];
        if (text.empty() || text.size() > kMaxPieceBytes)
            usage_error("{}: piece {} has {} bytes, expected 1 to {}", file, id, text.size(), kMaxPieceBytes);
        if (text.find('\0') != std::string::npos || valid_utf8(text) != text)
            usage_error("{}: piece {}, '{}', is not UTF-8 without NUL", file, id, printable(text));
        if (!std::isfinite(score))
            usage_error("{}: the score of piece {}, '{}', is {}, expected a finite number", file, id,
                        printable(text), score);
        if (!seen.insert(text).second)
            usage_error("{}: piece '{}' is there twice, expected it once", file, printable(text));
    }
}

}  // namespace

SentencepieceModel SentencepieceModel::parse(std::string_view bytes, const std::string& file) {
    SentencepieceModel model;
    std::uint64_t type = kUnigramType;
    MessageReader reader(bytes, file);
    while (const auto field = reader.next()) {
        if (field->number == kPieces) model.pieces.push_back(read_piece(field->bytes, file));
        MessageReader inner(
            field->number == kTrainer || field->number == kNormalizer ? field->bytes : std::string_view(),
            file);
        while (const auto option = inner.next()) {
            if (field->number == kTrainer && option->number == kModelType) type = option->value;
            if (field->number == kTrainer && option->number == kUnknownId)
                model.unknown_id = static_cast<std::int32_t>(option->value);
            if (field->number == kNormalizer && option->number == kCharsmap) model.charsmap = option->bytes;
        }
    }
    if (type != kUnigramType)
        usage_error("{}: is a sentencepiece model of type {}, expected {}, unigram", file, type,
                    kUnigramType);
    return model;
}

struct Unigram::Processor {
    sentencepiece::SentencePieceProcessor library;
    std::int64_t unknown_id = 0;
    int written_unknown = 0;  ///< the unknown piece's text, found in a word
};

Unigram::Unigram(const std::vector<UnigramPiece>& pieces, std::int64_t unknown_id, const std::string& file) {
    check(pieces, unknown_id, file);
    auto processor = std::make_unique<Processor>();
    const auto status = processor->library.LoadFromSerializedProto(serialized(pieces, unknown_id));
    if (!status.ok())
        usage_error("{}: sentencepiece does not take these pieces: {}", file,
                    printable(status.error_message()));
    processor->unknown_id = unknown_id;
    processor->written_unknown = static_cast<int>(pieces.size());
    processor_ = std::move(processor);
}

Unigram::~Unigram() = default;
Unigram::Unigram(Unigram&&) noexcept = default;
Unigram& Unigram::operator=(Unigram&&) noexcept = default;

void Unigram::encode(std::string_view word, std::vector<std::int64_t>& ids) const {
    std::vector<int> found;
    const auto status = processor_->library.Encode(word, &found);
    if (!status.ok()) failure("sentencepiece: {}", printable(status.error_message()));
    const auto begin = ids.size();
    for (const int id : found) {
        const bool is_unknown = id == processor_->unknown_id || id == processor_->written_unknown;
        if (is_unknown && ids.size() > begin && ids.back() == processor_->unknown_id) continue;
        ids.push_back(is_unknown ? processor_->unknown_id : id);
    }
}

}  // namespace reprise
