#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

/// A string of a unigram vocabulary and its logarithmic probability. Its id is its place.
struct UnigramPiece {
    enum class Type : std::uint8_t { normal = 1, unknown, control, user_defined, unused, byte };
    std::string text;
    float score = 0;
    Type type = Type::normal;

    friend bool operator==(const UnigramPiece&, const UnigramPiece&) = default;
};

/// What a sentencepiece model (`spiece.model`) says that T5's tokenizer reads.
struct SentencepieceModel {
    std::vector<UnigramPiece> pieces;
    std::int64_t unknown_id = 0;
    std::string charsmap;  ///< precompiled_charsmap; empty for none

    /// From the file's bytes, a protobuf message. Usage error naming `file` for what is broken or no
    /// unigram model.
    static SentencepieceModel parse(std::string_view bytes, const std::string& file);
};

/// Divides words into the likeliest pieces, by the sentencepiece library. Immutable; may be used by several
/// threads.
class Unigram {
  public:
    /// Every piece but `unknown_id` may be found in text, whatever its type. Usage error naming `file` for
    /// pieces that are empty, not UTF-8 or there twice, and scores that are not finite.
    Unigram(const std::vector<UnigramPiece>& pieces, std::int64_t unknown_id, const std::string& file);
    ~Unigram();
    Unigram(Unigram&&) noexcept;
    Unigram& operator=(Unigram&&) noexcept;

    /// Appends the ids of a word of well-formed UTF-8; characters that are in no piece become one
    /// `unknown_id` where they are next to each other.
    void encode(std::string_view word, std::vector<std::int64_t>& ids) const;

  private:
    struct Processor;
    std::unique_ptr<const Processor> processor_;
};

}  // namespace reprise
