#include "markup.h"

#include <fmt/format.h>

#include <regex>
#include <set>

namespace reprise::report {

namespace {

std::string fault_of_text(std::string_view text) {
    static const std::regex entity("^&(amp|lt|gt|quot|#[0-9]+);");
    for (auto at = text.find('&'); at != text.npos; at = text.find('&', at + 1)) {
        const std::string rest(text.substr(at, 10));
        if (!std::regex_search(rest, entity)) return "a bare ampersand: " + rest;
    }
    return text.find('<') == text.npos ? "" : "a bare less-than sign";
}

/// What is wrong with the attributes of a tag.
std::string fault_of_attributes(std::string_view text) {
    static const std::regex one(R"(^\s+([A-Za-z_:][-A-Za-z0-9_:.]*)="([^"<]*)\")");
    std::set<std::string> names;
    std::string rest(text);
    std::smatch match;
    while (std::regex_search(rest, match, one)) {
        if (!names.insert(match[1]).second) return "given twice: " + match[1].str();
        if (auto fault = fault_of_text(match[2].str()); !fault.empty()) return fault;
        rest = match.suffix();
    }
    return rest.find_first_not_of(" \n") == rest.npos ? "" : "no attribute: " + rest;
}

}  // namespace

std::string fault_of_markup(std::string_view text) {
    std::vector<std::string> open;
    std::size_t at = text.starts_with("<!doctype html>\n") ? 16 : 0;
    while (true) {
        const auto begin = text.find('<', at);
        const std::string_view between = text.substr(at, begin == text.npos ? text.npos : begin - at);
        if (auto fault = fault_of_text(between); !fault.empty()) return fault;
        if (open.empty() && between.find_first_not_of('\n') != between.npos)
            return "text outside of all tags";
        if (begin == text.npos) break;
        const auto end = text.find('>', begin);
        if (end == text.npos) return "a tag without an end";
        std::string_view tag = text.substr(begin + 1, end - begin - 1);
        at = end + 1;
        if (tag.starts_with('/')) {
            if (open.empty() || open.back() != tag.substr(1))
                return fmt::format("</{}> after <{}>", tag.substr(1), open.empty() ? "" : open.back());
            open.pop_back();
            continue;
        }
        const bool closed = tag.ends_with('/');
        if (closed) tag.remove_suffix(1);
        const auto name = tag.substr(0, tag.find_first_of(" \n"));
        if (auto fault = fault_of_attributes(tag.substr(name.size())); !fault.empty())
            return fmt::format("<{}>: {}", name, fault);
        if (!closed) open.emplace_back(name);
    }
    return open.empty() ? "" : "never closed: " + open.back();
}

int count_of(std::string_view text, std::string_view part) {
    int count = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
    return count;
}

std::vector<std::string> loaded_addresses(const std::string& text) {
    static const std::regex address(
        R"re((?:\b(?:src|href|srcset|poster)\s*=\s*["']?|url\(\s*["']?|@import\s+["']?)(?!data:|#)([^"'\s)>]{1,60}))re");
    std::vector<std::string> found;
    // embedded pictures are long: they are cut out first, for the expression's sake
    std::string short_text;
    for (std::size_t at = 0; at < text.size();) {
        const auto data = text.find("base64,", at);
        short_text += text.substr(at, data == text.npos ? text.npos : data - at);
        at = data == text.npos ? text.size() : text.find('"', data);
    }
    for (std::sregex_iterator i(short_text.begin(), short_text.end(), address), none; i != none; ++i)
        found.push_back((*i)[1]);
    return found;
}

}  // namespace reprise::report
