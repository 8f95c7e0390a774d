#include "text/html_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "text/html_entities.h"
#include "text/python_regex.h"
#include "text/unicode.h"

namespace reprise {
namespace {

using Position = std::optional<std::size_t>;

constexpr auto kNowhere = std::string_view::npos;

/// What Windows-1252 has where Unicode has control characters, from 0x80.
constexpr std::array<char32_t, 32> kWindows1252 = {
    0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
    0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

constexpr std::string_view kVoidElements[] = {"area",    "base",    "basefont", "bgsound", "br",       "col",
                                              "command", "embed",   "frame",    "hr",      "image",    "img",
                                              "input",   "isindex", "keygen",   "link",    "menuitem", "meta",
                                              "nextid",  "param",   "source",   "spacer",  "track",    "wbr"};
constexpr std::string_view kElementsOfOtherText[] = {"rp", "rt", "script", "style", "template"};
constexpr std::string_view kElementsOfPlainText[] = {"script", "style"};
constexpr std::string_view kElementsThatKeepSpaces[] = {"pre", "textarea"};

template <std::size_t N>
bool is_one_of(const std::string_view (&names)[N], std::string_view name) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// "38" or "x26"; too large numbers are beyond Unicode.
char32_t parse_number(std::string_view digits) {
    const bool is_hex = digits.starts_with('x');
    if (is_hex) digits.remove_prefix(1);
    std::uint32_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, is_hex ? 16 : 10);
    return error == std::errc() ? char32_t{value} : char32_t{0x110000};
}

std::string utf8(char32_t c) {
    if (c < 0x80) return {static_cast<char>(c)};
    std::string result;
    if (c < 0x800)
        result += static_cast<char>(0xc0U | (c >> 6U));
    else if (c < 0x10000)
        result += static_cast<char>(0xe0U | (c >> 12U));
    else
        result += static_cast<char>(0xf0U | (c >> 18U));
    if (c >= 0x10000) result += static_cast<char>(0x80U | ((c >> 12U) & 0x3fU));
    if (c >= 0x800) result += static_cast<char>(0x80U | ((c >> 6U) & 0x3fU));
    return result += static_cast<char>(0x80U | (c & 0x3fU));
}

/// By HTML's rules: no surrogates, and Windows-1252 for control characters.
char32_t resolved(char32_t number) {
    constexpr char32_t kReplacement = 0xfffd;
    if (number == 0 || number > 0x10ffff || (number >= 0xd800 && number < 0xe000)) return kReplacement;
    return windows_1252(number);
}

/// What html.unescape drops.
bool is_invalid(char32_t c) {
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\r') || c == 0x7f ||
           (c >= 0xfdd0 && c < 0xfdf0) || (c & 0xfffeU) == 0xfffe;
}

/// Goes over markup as html.parser's HTMLParser.goahead does, which is called twice: what the first call
/// leaves, because more input could complete it, the second takes as it is.
class Reader {
  public:
    explicit Reader(std::string_view markup) : text_(markup) {}

    std::string read() {
        go_ahead(false);
        go_ahead(true);
        end_data();
        return std::move(result_);
    }

  private:
    void go_ahead(bool is_end) {
        while (at_ < text_.size()) {
            if (!plain_element_.empty() && !find_end_of_plain_element()) return;
            const auto next = std::min(text_.find_first_of("&<", at_), text_.size());
            data_ += text_.substr(at_, next - at_);
            at_ = next;
            if (at_ == text_.size()) break;
            if (!(text_[at_] == '<' ? read_markup(is_end) : read_reference(is_end))) break;
        }
        if (!is_end || at_ >= text_.size()) return;
        data_ += text_.substr(at_);
        at_ = text_.size();
    }

    /// Skips the text of a script or a style, which is none of the document's.
    bool find_end_of_plain_element() {
        const PythonRegex end("</\\s*" + plain_element_ + "\\s*>");
        const auto found = end.search(text_, at_);
        if (!found) at_ = text_.size();
        if (found) at_ = found->begin;
        return found.has_value();
    }

    /// False: more input is needed.
    bool read_markup(bool is_end) {
        const auto rest = text_.substr(at_);
        Position end;
        if (rest.size() > 1 && rest[1] >= 'a' && rest[1] <= 'z')
            end = read_start_tag();
        else if (rest.starts_with("</"))
            end = read_end_tag();
        else if (rest.starts_with("<!--"))
            end = read_comment();
        else if (rest.starts_with("<?"))
            end = skip(after(">", at_ + 2));
        else if (rest.starts_with("<!["))
            end = read_marked_section();
        else if (rest.starts_with("<!"))
            end = skip(after(">", at_ + (rest.starts_with("<!doctype") ? 9 : 2)));
        else if (rest.size() > 1)
            end = take_data(at_ + 1);
        else
            return false;
        if (!end) {
            if (!is_end) return false;
            end = after(">", at_ + 1);
            if (!end) {
                const auto next = text_.find('<', at_ + 1);
                end = next == kNowhere ? at_ + 1 : next;
            }
            take_data(*end);
        }
        at_ = *end;
        return true;
    }

    bool read_reference(bool is_end) {
        static const PythonRegex kNumber("&#((?:[0-9]+|x[0-9a-f]+))[^0-9a-f]");
        static const PythonRegex kName("&([a-z][-.a-z0-9]*)[^a-z0-9]");
        if (text_.substr(at_).starts_with("&#")) {
            if (const auto match = kNumber.match_at(text_, at_)) {
                const auto digits = text_.substr(match->group_begin, match->group_end - match->group_begin);
                data_ += utf8(resolved(parse_number(digits)));
                finish_reference(match->group_end);
                return true;
            }
            if (text_.find(';', at_) != kNowhere) at_ = *take_data(at_ + 2);
            return false;
        }
        if (const auto match = kName.match_at(text_, at_)) {
            const auto name = text_.substr(match->group_begin, match->group_end - match->group_begin);
            const auto found = html_entity(name);
            data_ += found ? *found : text_.substr(at_, match->group_end - at_);
            finish_reference(match->group_end);
            return true;
        }
        const auto rest = text_.substr(at_);
        if (rest.size() > 1 && ((rest[1] >= 'a' && rest[1] <= 'z') || rest[1] == '#')) {
            if (is_end && rest.size() == 2) ++at_;
            return false;
        }
        if (rest.size() < 2) return false;
        at_ = *take_data(at_ + 1);
        return true;
    }

    void finish_reference(std::size_t end) { at_ = text_.substr(end).starts_with(';') ? end + 1 : end; }

    Position after(std::string_view mark, std::size_t from) const {
        const auto found = text_.find(mark, from);
        return found == kNowhere ? Position() : Position(found + mark.size());
    }

    Position skip(Position end) {
        if (end) end_data();
        return end;
    }

    Position take_data(std::size_t end) {
        data_ += text_.substr(at_, end - at_);
        return end;
    }

    Position read_comment() {
        static const PythonRegex kEnd("--\\s*>");
        const auto found = kEnd.search(text_, at_ + 4);
        return skip(found ? Position(found->end) : Position());
    }

    /// The text of <![cdata[...]]> is the document's.
    Position read_marked_section() {
        static const PythonRegex kName("([a-z][-_.a-z0-9]*)\\s*");
        static const PythonRegex kEnd("]\\s*]\\s*>");
        static const PythonRegex kOfficeEnd("]\\s*>");
        const auto name = kName.match_at(text_, at_ + 3);
        if (!name || name->end == text_.size()) return {};
        const auto word = text_.substr(name->group_begin, name->group_end - name->group_begin);
        const bool is_office = word == "if" || word == "else" || word == "endif";
        const auto found = (is_office ? kOfficeEnd : kEnd).search(text_, at_ + 3);
        if (!found) return {};
        end_data();
        constexpr std::string_view kCdata = "cdata[";
        const auto content = text_.substr(at_ + 3, found->begin - at_ - 3);
        if (content.starts_with(kCdata)) {
            data_ += content.substr(kCdata.size());
            end_data();
        }
        return found->end;
    }

    /// Where the tag ends, by HTMLParser.check_for_whole_start_tag.
    Position end_of_start_tag() const {
        static const PythonRegex kTag(
            "<[a-z][^\\t\\n\\r\\f />\\x00]*(?:[\\s/]*(?:(?<=['\"\\s/])[^\\s/>][^\\s/=>]*(?:\\s*=+\\s*"
            "(?:'[^']*'|\"[^\"]*\"|(?!['\"])[^>\\s]*)\\s*)?(?:\\s|/(?!>))*)*)?\\s*");
        const auto end = kTag.match_at(text_, at_)->end;
        const auto rest = text_.substr(end);
        if (rest.starts_with('>')) return end + 1;
        if (rest.starts_with("/>")) return end + 2;
        const char next = rest.empty() ? '/' : rest[0];
        if (next == '/' || next == '=' || (next >= 'a' && next <= 'z')) return {};
        return end;
    }

    Position read_start_tag() {
        static const PythonRegex kName("([a-z][^\\t\\n\\r\\f />\\x00]*)(?:\\s|/(?!>))*");
        static const PythonRegex kAttribute(
            "((?<=['\"\\s/])[^\\s/>][^\\s/=>]*)(\\s*=+\\s*('[^']*'|\"[^\"]*\"|(?!['\"])[^>\\s]*))?"
            "(?:\\s|/(?!>))*");
        const auto end = end_of_start_tag();
        if (!end) return end;
        const auto match = *kName.match_at(text_, at_ + 1);
        auto done = match.end;
        while (done < *end) {
            const auto attribute = kAttribute.match_at(text_, done);
            if (!attribute) break;
            done = attribute->end;
        }
        const auto rest = strip(text_.substr(std::min(done, *end), *end - std::min(done, *end)));
        if (rest != ">" && rest != "/>") return take_data(*end);
        const std::string name(text_.substr(match.group_begin, match.group_end - match.group_begin));
        end_data();
        open_.push_back(name);
        if (rest == "/>") {
            close(name);
        } else if (is_one_of(kVoidElements, name)) {
            close(name);
            closed_.push_back(name);
        } else if (is_one_of(kElementsOfPlainText, name)) {
            plain_element_ = name;
        }
        return end;
    }

    Position read_end_tag() {
        static const PythonRegex kEndTag("</\\s*([a-z][-.a-z0-9:_]*)\\s*>");
        static const PythonRegex kName("([a-z][^\\t\\n\\r\\f />\\x00]*)(?:\\s|/(?!>))*");
        const auto end = after(">", at_ + 1);
        if (!end) return end;
        const auto whole = kEndTag.match_at(text_, at_);
        const auto name = whole ? whole : kName.match_at(text_, at_ + 2);
        if (!name) return text_.substr(at_).starts_with("</>") ? Position(at_ + 3) : skip(end);
        plain_element_.clear();
        handle_end_tag(std::string(text_.substr(name->group_begin, name->group_end - name->group_begin)));
        return whole ? end : after(">", name->end);
    }

    void handle_end_tag(const std::string& name) {
        const auto known = std::find(closed_.begin(), closed_.end(), name);
        if (known != closed_.end()) {
            closed_.erase(known);
            return;
        }
        end_data();
        close(name);
    }

    void close(const std::string& name) {
        end_data();
        const auto found = std::find(open_.rbegin(), open_.rend(), name);
        if (found != open_.rend()) open_.erase(found.base() - 1, open_.end());
    }

    bool is_inside(const auto& names) const {
        return std::any_of(open_.begin(), open_.end(),
                           [&](const std::string& name) { return is_one_of(names, name); });
    }

    /// One piece of text ends: of spaces alone one is kept.
    void end_data() {
        const bool is_blank = !data_.empty() && data_.find_first_not_of(" \n\t\f\r") == kNowhere;
        if (is_blank && !is_inside(kElementsThatKeepSpaces))
            data_ = data_.find('\n') == kNowhere ? " " : "\n";
        if (!is_inside(kElementsOfOtherText)) result_ += data_;
        data_.clear();
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::string data_, result_;
    std::string plain_element_;        ///< the script or style that is open
    std::vector<std::string> open_;    ///< elements
    std::vector<std::string> closed_;  ///< void elements, whose end tags mean nothing
};

/// What a reference, without '&', stands for.
std::string unescaped(std::string_view reference) {
    if (reference.starts_with('#')) {
        const auto number =
            parse_number(reference.substr(1, reference.size() - 1 - reference.ends_with(';')));
        const auto c = resolved(number);
        return is_invalid(number) && c == number ? std::string() : utf8(c);
    }
    if (reference.ends_with(';'))
        if (const auto found = html_entity(reference.substr(0, reference.size() - 1)))
            return std::string(*found);
    for (auto length = reference.size(); length > 1; --length)
        if (html_entity_needs_no_semicolon(reference.substr(0, length)))
            return std::string(*html_entity(reference.substr(0, length))) +
                   std::string(reference.substr(length));
    return std::string("&").append(reference);
}

}  // namespace

char32_t windows_1252(char32_t c) {
    return c >= 0x80 && c < 0xa0 ? kWindows1252[c - 0x80] : c;
}

std::string html_text(std::string_view markup) {
    return Reader(markup).read();
}

std::string html_unescaped(std::string_view text) {
    static const PythonRegex kReference("&(#[0-9]+;?|#x[0-9a-f]+;?|[^\\t\\n\\f <&#;]{1,32};?)");
    std::string result;
    std::size_t done = 0;
    while (const auto match = kReference.search(text, done)) {
        result += text.substr(done, match->begin - done);
        result += unescaped(text.substr(match->group_begin, match->group_end - match->group_begin));
        done = match->end;
    }
    return result += text.substr(done);
}

}  // namespace reprise
