#include "text/caption_cleaning.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <array>
#include <utility>
#include <vector>

#include "reprise/error.h"
#include "text/html_text.h"
#include "text/python_regex.h"
#include "text/unicode.h"

namespace reprise {
namespace {

constexpr std::size_t kMaxCaptionBytes = 16 << 10;  // some expressions take the square of it

struct Replacement {
    PythonRegex expression;
    std::string_view by;
};
using Replacements = std::vector<Replacement>;

std::string replaced(std::string text, const Replacements& replacements) {
    for (const auto& [expression, by] : replacements) text = expression.replace_all(text, by);
    return text;
}

// The pipelines' expressions (diffusers: IFPipeline._clean_caption), in their order.

const Replacements& before_markup() {
    static const Replacements kAll = {
        {PythonRegex("<person>"), "person"},
        {PythonRegex(
             R"(\b((?:https?:(?:\/{1,3}|[a-zA-Z0-9%])|[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b\/?(?!@))))"),
         ""},
        {PythonRegex(
             R"(\b((?:www:(?:\/{1,3}|[a-zA-Z0-9%])|[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b\/?(?!@))))"),
         ""},
    };
    return kAll;
}

const Replacements& after_markup() {
    static const Replacements kAll = {
        {PythonRegex(R"(@[\w\d]+\b)"), ""},
        {PythonRegex(R"([\x{31c0}-\x{31ef}]+)"), ""},
        {PythonRegex(R"([\x{31f0}-\x{31ff}]+)"), ""},
        {PythonRegex(R"([\x{3200}-\x{32ff}]+)"), ""},
        {PythonRegex(R"([\x{3300}-\x{33ff}]+)"), ""},
        {PythonRegex(R"([\x{3400}-\x{4dbf}]+)"), ""},
        {PythonRegex(R"([\x{4dc0}-\x{4dff}]+)"), ""},
        {PythonRegex(R"([\x{4e00}-\x{9fff}]+)"), ""},
        {PythonRegex(
             R"([\x{2d}\x{58a}\x{5be}\x{1400}\x{1806}\x{2010}-\x{2015}\x{2e17}\x{2e1a}\x{2e3a}\x{2e3b}\x{2e40}\x{301c}\x{3030}\x{30a0}\x{fe31}\x{fe32}\x{fe58}\x{fe63}\x{ff0d}]+)"),
         "-"},
        {PythonRegex(R"([`\x{b4}\x{ab}\x{bb}\x{201c}\x{201d}\x{a8}])"), "\""},
        {PythonRegex(R"([\x{2018}\x{2019}])"), "'"},
        {PythonRegex(R"(&quot;?)"), ""},
        {PythonRegex(R"(&amp)"), ""},
        {PythonRegex(R"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})"), " "},
        {PythonRegex(R"(\d:\d\d\s+$)"), ""},
        {PythonRegex(R"(\\n)"), " "},
        {PythonRegex(R"(#\d{1,3}\b)"), ""},
        {PythonRegex(R"(#\d{5,}\b)"), ""},
        {PythonRegex(R"(\b\d{6,}\b)"), ""},
        {PythonRegex(R"(\S+\.(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4))"), ""},
        {PythonRegex(R"(["']{2,})"), "\""},
        {PythonRegex(R"([\.]{2,})"), " "},
        {PythonRegex(
             R"([#\x{ae}\x{2022}\x{a9}\x{2122}&@\x{b7}\x{ba}\x{bd}\x{be}\x{bf}\x{a1}\x{a7}~)(\]\[}{|\\/*]{1,})"),
         " "},
        {PythonRegex(R"(\s+\.\s+)"), " "},
    };
    return kAll;
}

const Replacements& after_repair() {
    static const Replacements kAll = {
        {PythonRegex(R"(\b[a-zA-Z]{1,3}\d{3,15}\b)"), ""},
        {PythonRegex(R"(\b[a-zA-Z]+\d+[a-zA-Z]+\b)"), ""},
        {PythonRegex(R"(\b\d+[a-zA-Z]+\d+\b)"), ""},
        {PythonRegex(R"((worldwide\s+)?(free\s+)?shipping)"), ""},
        {PythonRegex(R"((free\s)?download(\sfree)?)"), ""},
        {PythonRegex(R"(\bclick\b\s(?:for|on)\s\w+)"), ""},
        {PythonRegex(R"(\b(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)(\simage[s]?)?)"), ""},
        {PythonRegex(R"(\bpage\s+\d+\b)"), ""},
        {PythonRegex(R"(\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b)"), " "},
        {PythonRegex(R"(\b\d+\.?\d*[x\x{445}\x{d7}]\d+\.?\d*\b)"), ""},
        {PythonRegex(R"(\b\s+\:\s+)"), ": "},
        {PythonRegex(R"((\D[,\./])\b)"), "$1 "},
        {PythonRegex(R"(\s+)"), " "},
        {PythonRegex(R"(^["']((?s:.)+)["']$)"), "$1"},
        {PythonRegex(R"(^['\_,\-\:;])"), ""},
        {PythonRegex(R"(['\_,\-\:\-\+]$)"), ""},
        {PythonRegex(R"(^\.\S+$)"), ""},
    };
    return kAll;
}

/// this-is-my-cute-cat, this_is_my_cute_cat
std::string without_joints(std::string text) {
    static const PythonRegex kJoint(R"((?:\-|\_))");
    return kJoint.count(text) > 3 ? kJoint.replace_all(text, " ") : text;
}

/// The characters of ASCII runs that are written as %41 or +, each run by itself.
std::string unquoted(std::string_view text) {
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    };
    std::string result, run;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (static_cast<unsigned char>(text[i]) >= 0x80) {
            result += valid_utf8(run);
            run.clear();
            result += text[i];
            continue;
        }
        const bool is_escape =
            text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
        if (is_escape) {
            run += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
            i += 2;
        } else {
            run += text[i] == '+' ? ' ' : text[i];
        }
    }
    return result + valid_utf8(run);
}

std::string lower(std::string_view text) {
    const auto piece = icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size()));
    std::string result;
    icu::UnicodeString::fromUTF8(piece).toLower(icu::Locale::getRoot()).toUTF8String(result);
    return result;
}

/// The composed or the compatible normal form.
std::string normalized(std::string_view text, bool compatible) {
    UErrorCode error = U_ZERO_ERROR;
    const auto* form =
        compatible ? icu::Normalizer2::getNFKCInstance(error) : icu::Normalizer2::getNFCInstance(error);
    const auto piece = icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size()));
    icu::UnicodeString result;
    if (U_SUCCESS(error)) form->normalize(icu::UnicodeString::fromUTF8(piece), result, error);
    if (U_FAILURE(error)) failure("ICU could not normalize the text: {}", u_errorName(error));
    std::string utf8;
    return result.toUTF8String(utf8);
}

/// One character as ftfy's steps but those for encodings leave it: ligatures taken apart, wide and narrow
/// forms as usual ones, quotes straight, line breaks as \n, control characters gone or Windows-1252's.
std::string plain_character(char32_t c, std::string_view as_written) {
    constexpr std::array<std::pair<char32_t, std::string_view>, 13> kLigatures = {{{0x133, "ij"},
                                                                                   {0x149, "\u02bcn"},
                                                                                   {0x1f3, "dz"},
                                                                                   {0x1c6, "d\u017e"},
                                                                                   {0x1c9, "lj"},
                                                                                   {0x1cc, "nj"},
                                                                                   {0xfb00, "ff"},
                                                                                   {0xfb01, "fi"},
                                                                                   {0xfb02, "fl"},
                                                                                   {0xfb03, "ffi"},
                                                                                   {0xfb04, "ffl"},
                                                                                   {0xfb05, "\u017ft"},
                                                                                   {0xfb06, "st"}}};
    for (const auto& [ligature, letters] : kLigatures)
        if (c == ligature) return std::string(letters);
    if (c == 0x3000) return " ";
    if (c >= 0xff01 && c < 0xfff0) return normalized(as_written, true);
    if (c == 0x2bc || (c >= 0x2018 && c <= 0x201b)) return "'";
    if (c >= 0x201c && c <= 0x201f) return "\"";
    if (c == 0x2028 || c == 0x2029 || c == '\r') return "\n";
    if (const char32_t meant = windows_1252(c); meant != c) {
        std::string result;
        return icu::UnicodeString(static_cast<UChar32>(meant)).toUTF8String(result);
    }
    const bool is_control = c <= 0x08 || c == 0x0b || (c >= 0x0e && c < 0x20) || c == 0x7f ||
                            (c >= 0x206a && c < 0x2070) || c == 0xfeff || (c >= 0xfff9 && c < 0xfffd);
    return is_control ? std::string() : std::string(as_written);
}

/// ftfy.fix_text without what it does about encodings.
std::string plain(std::string text) {
    static const PythonRegex kTerminalEscape("\\x1b\\[((?:\\d|;)*)([a-zA-Z])");
    static const PythonRegex kLineBreak("\\r\\n");
    for (std::string before; before != text;) {
        before = text;
        text = kLineBreak.replace_all(kTerminalEscape.replace_all(text, ""), "\n");
        std::string fixed;
        for (std::size_t begin = 0; begin < text.size();) {
            auto end = begin;
            const char32_t c = next_char(text, end);
            fixed += plain_character(c, std::string_view(text).substr(begin, end - begin));
            begin = end;
        }
        text = normalized(fixed, false);
    }
    return text;
}

std::string cleaned_once(std::string_view caption) {
    const auto unescaped = unquoted(caption);
    std::string text = replaced(lower(strip(unescaped)), before_markup());
    text = replaced(html_text(text), after_markup());
    text = plain(without_joints(std::move(text)));
    text = html_unescaped(html_unescaped(text));
    text = replaced(std::move(text), after_repair());
    return std::string(strip(text));
}

}  // namespace

std::string clean_caption(std::string_view caption) {
    if (caption.size() > kMaxCaptionBytes)
        usage_error("the prompt is {} bytes long; up to {} can be tidied (clean_caption)", caption.size(),
                    kMaxCaptionBytes);
    return cleaned_once(cleaned_once(valid_utf8(caption)));
}

std::string lower_caption(std::string_view caption) {
    const auto text = lower(valid_utf8(caption));
    return std::string(strip(text));
}

}  // namespace reprise
