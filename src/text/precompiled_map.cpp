#include "text/precompiled_map.h"

#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <memory>

#include "reprise/error.h"
#include "text/unicode.h"

namespace reprise {
namespace {

constexpr std::size_t kWholeGrapheme = 6;  // shorter ones are looked up as a whole

/// A unit of a darts-clone double array.
struct Unit {
    std::uint32_t bits;

    bool has_leaf() const { return ((bits >> 8U) & 1U) == 1; }
    std::uint32_t value() const { return bits & 0x7fffffffU; }
    std::uint32_t label() const { return bits & 0x800000ffU; }
    std::uint32_t offset() const { return (bits >> 10U) << ((bits & (1U << 9U)) >> 6U); }
};

std::uint32_t read_u32(std::string_view bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 4; i-- > 0;) value = (value << 8U) | static_cast<std::uint8_t>(bytes[at + i]);
    return value;
}

struct CloseText {
    void operator()(UText* text) const { utext_close(text); }
};
struct CloseIterator {
    void operator()(UBreakIterator* iterator) const { ubrk_close(iterator); }
};

/// Calls `action` with each grapheme of the text.
template <class Action>
void for_each_grapheme(std::string_view text, Action&& action) {
    UErrorCode error = U_ZERO_ERROR;
    const std::unique_ptr<UText, CloseText> utext(
        utext_openUTF8(nullptr, text.data(), static_cast<std::int64_t>(text.size()), &error));
    const std::unique_ptr<UBreakIterator, CloseIterator> graphemes(
        ubrk_open(UBRK_CHARACTER, "", nullptr, 0, &error));
    if (U_SUCCESS(error)) ubrk_setUText(graphemes.get(), utext.get(), &error);
    if (U_FAILURE(error)) failure("ICU cannot divide a text into graphemes: {}", u_errorName(error));
    std::size_t begin = 0;
    while (begin < text.size()) {
        const auto end = static_cast<std::size_t>(ubrk_next(graphemes.get()));
        action(text.substr(begin, end - begin));
        begin = end;
    }
}

}  // namespace

PrecompiledMap::PrecompiledMap(std::string_view bytes, const std::string& file) {
    const auto size = bytes.size() < 4 ? 0 : std::size_t{read_u32(bytes, 0)};
    if (size == 0 || size % 4 != 0 || size > bytes.size() - 4)
        usage_error(
            "{}: precompiled_charsmap has {} bytes with an array of {}, expected a size, an array of "
            "32-bit units and text",
            file, bytes.size(), size);
    for (std::size_t at = 4; at < 4 + size; at += 4) units_.push_back(read_u32(bytes, at));
    replacements_ = bytes.substr(4 + size);
    if (valid_utf8(replacements_) != replacements_)
        usage_error("{}: the text of precompiled_charsmap is not UTF-8", file);
}

/// Of the shortest string of the map that the text begins with.
std::optional<std::string_view> PrecompiledMap::replacement(std::string_view text) const {
    std::size_t position = Unit{units_[0]}.offset();
    for (const char c : text) {
        const auto byte = static_cast<std::uint8_t>(c);
        position ^= byte;
        if (byte == 0 || position >= units_.size()) return std::nullopt;
        const Unit unit{units_[position]};
        if (unit.label() != byte) return std::nullopt;
        position ^= unit.offset();
        if (!unit.has_leaf()) continue;
        if (position >= units_.size()) return std::nullopt;
        const std::size_t begin = Unit{units_[position]}.value();
        if (begin > replacements_.size()) return std::nullopt;
        const auto rest = std::string_view(replacements_).substr(begin);
        return rest.substr(0, rest.find('\0'));
    }
    return std::nullopt;
}

std::string PrecompiledMap::normalize(std::string_view text) const {
    if (units_.empty()) return std::string(text);
    std::string result;
    for_each_grapheme(text, [&](std::string_view grapheme) {
        if (grapheme.size() < kWholeGrapheme) {
            if (const auto found = replacement(grapheme)) {
                result += *found;
                return;
            }
        }
        for (std::size_t begin = 0; begin < grapheme.size();) {
            auto end = begin;
            next_char(grapheme, end);
            const auto character = grapheme.substr(begin, end - begin);
            result += replacement(character).value_or(character);
            begin = end;
        }
    });
    return valid_utf8(result);  // a hostile map may point into a character
}

}  // namespace reprise
