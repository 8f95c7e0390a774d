#include "text/python_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "reprise/error.h"

namespace reprise {
namespace {

/// The members of Python's \s and \w, for the inside of a class.
constexpr std::string_view kSpaces =
    R"(\x09-\x0d\x1c-\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kWord = R"(\p{L}\p{N}_)";

std::string translated(std::string_view expression) {
    std::string result;
    bool in_class = false;
    for (std::size_t i = 0; i < expression.size(); ++i) {
        const char c = expression[i];
        if (c != '\\' || i + 1 == expression.size()) {
            in_class = c == '[' || (in_class && c != ']');
            result += c;
            continue;
        }
        const char escaped = expression[++i];
        const auto members = escaped == 's' || escaped == 'S' ? kSpaces : kWord;
        if (escaped != 's' && escaped != 'S' && escaped != 'w')
            result += {c, escaped};
        else if (in_class)
            result += members;
        else
            result += fmt::format("[{}{}]", escaped == 'S' ? "^" : "", members);
    }
    return result;
}

PCRE2_SPTR units(std::string_view text) {
    return reinterpret_cast<PCRE2_SPTR>(text.data());
}

}  // namespace

struct PythonRegex::Code {
    std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> compiled{nullptr, pcre2_code_free};
    std::string expression;
};

PythonRegex::PythonRegex(std::string_view expression) {
    auto code = std::make_shared<Code>();
    code->expression = translated(expression);
    int error = 0;
    PCRE2_SIZE offset = 0;
    code->compiled.reset(pcre2_compile(units(code->expression), code->expression.size(),
                                       PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
    if (!code->compiled) failure("regular expression '{}' is not valid at {}", code->expression, offset);
    code_ = std::move(code);
}

std::optional<PythonRegex::Match> PythonRegex::run(std::string_view text, std::size_t position,
                                                   std::uint32_t options) const {
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
        pcre2_match_data_create_from_pattern(code_->compiled.get(), nullptr), pcre2_match_data_free);
    const int count =
        pcre2_match(code_->compiled.get(), units(text), text.size(), position, options, data.get(), nullptr);
    if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (count < 0) usage_error("the prompt cannot be tidied: it makes '{}' too slow", code_->expression);
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    Match match{ends[0], ends[1], 0, 0};
    if (count > 1 && ends[2] != PCRE2_UNSET) {
        match.group_begin = ends[2];
        match.group_end = ends[3];
    }
    return match;
}

std::optional<PythonRegex::Match> PythonRegex::match_at(std::string_view text, std::size_t position) const {
    return run(text, position, PCRE2_ANCHORED);
}

std::optional<PythonRegex::Match> PythonRegex::search(std::string_view text, std::size_t position) const {
    return run(text, position, 0);
}

std::string PythonRegex::replace_all(const std::string& text, std::string_view replacement) const {
    const auto group = replacement.find("$1");
    std::string result;
    std::size_t done = 0;
    while (const auto match = search(text, done)) {
        result.append(text, done, match->begin - done);
        result += replacement.substr(0, group);
        if (group != std::string_view::npos) {
            result.append(text, match->group_begin, match->group_end - match->group_begin);
            result += replacement.substr(group + 2);
        }
        done = match->end;
        if (match->begin == match->end) break;  // no expression here matches nothing
    }
    return result.append(text, done);
}

std::size_t PythonRegex::count(std::string_view text) const {
    std::size_t result = 0;
    std::size_t done = 0;
    while (const auto match = search(text, done)) {
        ++result;
        done = match->end;
    }
    return result;
}

}  // namespace reprise
