#include "text/unicode.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "reprise/error.h"

namespace reprise {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30U;  // ICU counts in 32 bits

constexpr int kComposeVersion = 9;
constexpr int kClassVersion = 16;
constexpr int kLowerVersion = 17;

struct Range {
    char32_t first, last;
};

/// Letters and numbers that Unicode 15.1 and 16 added, for an ICU that is older.
constexpr Range kNewLetters[] = {
    {0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3}, {0x10d4a, 0x10d65},
    {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e},
    {0x11390, 0x113b5}, {0x113b7, 0x113b7}, {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0},
    {0x13460, 0x143fa}, {0x16100, 0x1611d}, {0x16d40, 0x16d6c}, {0x18cff, 0x18cff}, {0x1e5d0, 0x1e5ed},
    {0x1e5f0, 0x1e5f0}, {0x2ebf0, 0x2ee5d}};
constexpr Range kNewNumbers[] = {{0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9},
                                 {0x16130, 0x16139}, {0x16d70, 0x16d79}, {0x1ccf0, 0x1ccf9},
                                 {0x1e5f1, 0x1e5fa}};

/// Capitals that Unicode 16 and 17 added and what is added to each for its lower case.
struct LowerRange {
    char32_t first, last;
    int offset;
};
constexpr LowerRange kNewCapitals[] = {{0x1c89, 0x1c89, 1},      {0xa7cb, 0xa7cb, 0x264 - 0xa7cb},
                                       {0xa7cc, 0xa7cc, 1},      {0xa7ce, 0xa7ce, 1},
                                       {0xa7d2, 0xa7d2, 1},      {0xa7d4, 0xa7d4, 1},
                                       {0xa7da, 0xa7da, 1},      {0xa7dc, 0xa7dc, 0x19b - 0xa7dc},
                                       {0x10d50, 0x10d65, 0x20}, {0x16ea0, 0x16eb8, 0x1b}};

template <class Ranges>
auto find_range(const Ranges& ranges, char32_t c) {
    const auto found = std::lower_bound(std::begin(ranges), std::end(ranges), c,
                                        [](const auto& range, char32_t value) { return range.last < value; });
    return found != std::end(ranges) && c >= found->first ? found : std::end(ranges);
}

bool assigned_by(char32_t c, int version) {
    UVersionInfo age;
    u_charAge(static_cast<UChar32>(c), age);
    return age[0] < version || (age[0] == version && age[1] == 0);
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// Normal form C in which all characters younger than Unicode 9 are inert.
const icu::Normalizer2& unicode9_composer() {
    static const icu::UnicodeSet kOld = [] {
        UErrorCode status = U_ZERO_ERROR;
        icu::UnicodeSet set(icu::UnicodeString::fromUTF8("[:age=9.0:]"), status);
        if (U_FAILURE(status)) failure("ICU: {}; its data are missing or broken", u_errorName(status));
        set.freeze();
        return set;
    }();
    static const icu::FilteredNormalizer2 kComposer = [] {
        UErrorCode status = U_ZERO_ERROR;
        const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
        if (U_FAILURE(status)) failure("ICU: {}; its data are missing or broken", u_errorName(status));
        return icu::FilteredNormalizer2(*nfc, kOld);
    }();
    return kComposer;
}

const icu::Normalizer2& decomposer() {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* nfd = icu::Normalizer2::getNFDInstance(status);
    if (U_FAILURE(status)) failure("ICU: {}; its data are missing or broken", u_errorName(status));
    return *nfd;
}

/// True for what canonical ordering moves: marks, and the few characters that decompose to marks alone.
bool is_mark(UChar32 c) {
    return u_getIntPropertyValue(c, UCHAR_LEAD_CANONICAL_COMBINING_CLASS) != 0 &&
           assigned_by(static_cast<char32_t>(c), kComposeVersion);
}

/// An equivalent text in which long runs of marks are in canonical order. ICU orders them by insertion, which
/// takes hours for a prompt of a few megabytes of them.
icu::UnicodeString order_long_runs(const icu::UnicodeString& text) {
    constexpr std::size_t kLong = 64;
    icu::UnicodeString result;
    std::vector<UChar32> run;
    const auto finish_run = [&] {
        if (run.size() > kLong)
            std::stable_sort(run.begin(), run.end(), [](UChar32 a, UChar32 b) {
                return u_getCombiningClass(a) < u_getCombiningClass(b);
            });
        for (const auto mark : run) result.append(mark);
        run.clear();
    };
    for (std::int32_t i = 0; i < text.length();) {
        const auto c = text.char32At(i);
        i += U16_LENGTH(c);
        if (!is_mark(c)) {
            finish_run();
            result.append(c);
            continue;
        }
        icu::UnicodeString parts;
        if (u_getCombiningClass(c) != 0 || !decomposer().getDecomposition(c, parts)) parts.append(c);
        for (std::int32_t k = 0; k < parts.length(); k += U16_LENGTH(parts.char32At(k)))
            run.push_back(parts.char32At(k));
    }
    finish_run();
    return result;
}

bool is_python_space(char32_t c) {
    return (c >= 0x1c && c <= 0x1f) || char_class(c) == CharClass::space;
}

}  // namespace

CharClass char_class(char32_t c) {
    if (u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE)) return CharClass::space;
    if (find_range(kNewLetters, c) != std::end(kNewLetters)) return CharClass::letter;
    if (find_range(kNewNumbers, c) != std::end(kNewNumbers)) return CharClass::number;
    const auto category = U_GET_GC_MASK(static_cast<UChar32>(c));
    if ((category & (U_GC_L_MASK | U_GC_N_MASK)) == 0 || !assigned_by(c, kClassVersion))
        return CharClass::other;
    return (category & U_GC_L_MASK) != 0 ? CharClass::letter : CharClass::number;
}

bool is_word_char(char32_t c) {
    const auto code = static_cast<UChar32>(c);
    return u_hasBinaryProperty(code, UCHAR_ALPHABETIC) || u_hasBinaryProperty(code, UCHAR_JOIN_CONTROL) ||
           (U_GET_GC_MASK(code) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

void append_lower(std::string& utf8, char32_t c) {
    if (c < 0x80) {
        utf8 += static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        return;
    }
    UChar32 lower = 0;
    if (c == 0x130) {  // the only unconditional lower case of more than one code point
        utf8 += "i\u0307";
        return;
    }
    if (const auto capital = find_range(kNewCapitals, c); capital != std::end(kNewCapitals))
        lower = static_cast<UChar32>(c) + capital->offset;
    else
        lower = assigned_by(c, kLowerVersion) ? u_tolower(static_cast<UChar32>(c)) : static_cast<UChar32>(c);
    std::array<char, U8_MAX_LENGTH> bytes;
    std::size_t length = 0;
    U8_APPEND_UNSAFE(bytes.data(), length, lower);
    utf8.append(bytes.data(), length);
}

std::string valid_utf8(std::string_view text) {
    if (text.size() > kMaxTextBytes)
        usage_error("a text is {} bytes long, expected at most {}", text.size(), kMaxTextBytes);
    if (is_ascii(text)) return std::string(text);
    const auto piece = icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size()));
    std::string result;
    icu::UnicodeString::fromUTF8(piece).toUTF8String(result);
    return result;
}

std::string compose(std::string_view utf8) {
    if (is_ascii(utf8)) return std::string(utf8);
    const auto piece = icu::StringPiece(utf8.data(), static_cast<std::int32_t>(utf8.size()));
    UErrorCode status = U_ZERO_ERROR;
    icu::UnicodeString composed;
    unicode9_composer().normalize(order_long_runs(icu::UnicodeString::fromUTF8(piece)), composed, status);
    if (U_FAILURE(status)) failure("ICU could not normalize the text: {}", u_errorName(status));
    std::string result;
    composed.toUTF8String(result);
    return result;
}

std::string_view strip(std::string_view utf8) {
    std::size_t begin = 0;
    while (begin < utf8.size()) {
        std::size_t next = begin;
        if (!is_python_space(next_char(utf8, next))) break;
        begin = next;
    }
    std::size_t end = utf8.size();
    while (end > begin) {
        std::size_t previous = end;
        if (!is_python_space(previous_char(utf8, previous))) break;
        end = previous;
    }
    return utf8.substr(begin, end - begin);
}

char32_t next_char(std::string_view utf8, std::size_t& position) {
    UChar32 c = 0;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(utf8.data());
    U8_NEXT_OR_FFFD(bytes, position, utf8.size(), c);
    return static_cast<char32_t>(c);
}

char32_t previous_char(std::string_view utf8, std::size_t& position) {
    UChar32 c = 0;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(utf8.data());
    auto index = static_cast<std::int32_t>(position);
    U8_PREV_OR_FFFD(bytes, 0, index, c);
    position = static_cast<std::size_t>(index);
    return static_cast<char32_t>(c);
}

}  // namespace reprise
