#include "cachify/filter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

/// One position of a pattern: how many pattern characters it takes and whether it matches `c`.
struct Position {
    std::size_t length;
    bool matches;
};

Position match_one(std::string_view pattern, char c) {
    if (pattern[0] == '?') return {1, true};
    if (pattern[0] != '[') return {1, pattern[0] == c};
    std::size_t end = 1;
    const bool negated = end < pattern.size() && pattern[end] == '!';
    if (negated) ++end;
    const std::size_t begin = end;
    if (end < pattern.size() && pattern[end] == ']') ++end;  // a first ']' is a member
    end = pattern.find(']', end);
    if (end == std::string_view::npos) return {1, c == '['};
    bool found = false;
    const auto code = [](char x) { return static_cast<unsigned char>(x); };
    for (std::size_t i = begin; i < end; ++i) {
        if (i + 2 < end && pattern[i + 1] == '-') {
            found = found || (code(pattern[i]) <= code(c) && code(c) <= code(pattern[i + 2]));
            i += 2;
        } else {
            found = found || pattern[i] == c;
        }
    }
    return {end + 1, found != negated};
}

}  // namespace

bool fnmatch(std::string_view name, std::string_view pattern) {
    std::size_t n = 0;
    std::size_t p = 0;
    std::size_t star = std::string_view::npos;  // the last '*' seen, and where the name stood then
    std::size_t resume = 0;
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = n;
            continue;
        }
        if (p < pattern.size()) {
            const Position position = match_one(pattern.substr(p), name[n]);
            if (position.matches) {
                p += position.length;
                ++n;
                continue;
            }
        }
        if (star == std::string_view::npos) return false;
        p = star + 1;
        n = ++resume;
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

std::function<bool(std::string_view)> regex_search(const std::string& expression) {
    constexpr std::uint32_t kMatchLimit = 100'000;
    int error = 0;
    PCRE2_SIZE offset = 0;
    const std::shared_ptr<pcre2_code> code(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                      PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr),
        pcre2_code_free);
    if (!code) {
        std::string message(128, '\0');
        const int length =
            pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message.data()), message.size());
        message.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
        usage_error("regular expression '{}' is not valid at character {}: {}", printable(expression), offset,
                    message);
    }
    const std::shared_ptr<pcre2_match_context> limits(pcre2_match_context_create(nullptr),
                                                      pcre2_match_context_free);
    pcre2_set_match_limit(limits.get(), kMatchLimit);
    return [code, limits, expression](std::string_view name) {
        const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
            pcre2_match_data_create_from_pattern(code.get(), nullptr), pcre2_match_data_free);
        const int count = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0,
                                      0, data.get(), limits.get());
        if (count >= 0) return true;
        if (count == PCRE2_ERROR_NOMATCH) return false;
        usage_error("regular expression '{}' needs too many steps on '{}'; write it more simply", expression,
                    name);
    };
}

}  // namespace reprise::cachify
