#include "cachify/expression.h"

#include <cctype>
#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

struct Variables {
    std::int64_t step, num_steps;
};
using Term = std::function<std::int64_t(const Variables&)>;

/// Recursive descent over Python's operator precedence; every term is an integer, as Python's bools are.
class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Term parse() {
        if (text_.size() > 10'000)
            usage_error("a step expression of {} characters is too long", text_.size());
        Term result = disjunction();
        skip_space();
        if (at_ != text_.size()) wrong("expected an operator or the end");
        return result;
    }

  private:
    static constexpr int kMaxDepth = 100;

    [[noreturn]] void wrong(const char* expectation) const {
        usage_error("step expression \"{}\": {} at character {}; write for example \"step % 2 != 0\"",
                    printable(text_), expectation, at_ + 1);
    }
    void skip_space() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    }
    static bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
    /// Takes a symbol or a whole word if it comes next.
    bool take(std::string_view token) {
        skip_space();
        if (!text_.substr(at_).starts_with(token)) return false;
        const std::size_t end = at_ + token.size();
        if (is_word(token.back()) && end < text_.size() && is_word(text_[end])) return false;
        at_ = end;
        return true;
    }

    Term disjunction() {
        if (++depth_ > kMaxDepth) wrong("it is nested too deeply");
        Term left = conjunction();
        while (take("or"))
            left = [a = std::move(left), b = conjunction()](const Variables& v) {
                const auto x = a(v);
                return x != 0 ? x : b(v);
            };
        --depth_;
        return left;
    }
    Term conjunction() {
        Term left = negation();
        while (take("and"))
            left = [a = std::move(left), b = negation()](const Variables& v) {
                const auto x = a(v);
                return x == 0 ? x : b(v);
            };
        return left;
    }
    Term negation() {
        bool negated = false;
        bool any = false;
        while (take("not")) {
            negated = !negated;
            any = true;
        }
        Term inner = comparison();
        if (!any) return inner;
        return [a = std::move(inner), negated](const Variables& v) -> std::int64_t {
            return (a(v) == 0) == negated;
        };
    }

    enum class Relation { equal, unequal, less, less_equal, greater, greater_equal, in, not_in };
    bool relation(Relation& result) {
        static constexpr std::pair<std::string_view, Relation> kSymbols[] = {
            {"==", Relation::equal},      {"!=", Relation::unequal},
            {"<=", Relation::less_equal}, {">=", Relation::greater_equal},
            {"<", Relation::less},        {">", Relation::greater},
            {"in", Relation::in},
        };
        for (const auto& [symbol, value] : kSymbols)
            if (take(symbol)) {
                result = value;
                return true;
            }
        const std::size_t before = at_;
        if (take("not") && take("in")) {
            result = Relation::not_in;
            return true;
        }
        at_ = before;
        return false;
    }
    static bool holds(Relation relation, std::int64_t a, std::int64_t b) {
        switch (relation) {
            case Relation::equal:
                return a == b;
            case Relation::unequal:
                return a != b;
            case Relation::less:
                return a < b;
            case Relation::less_equal:
                return a <= b;
            case Relation::greater:
                return a > b;
            case Relation::greater_equal:
                return a >= b;
            default:
                return false;
        }
    }
    Term comparison() {
        Term first = sum();
        Relation next{};
        if (!relation(next)) return first;
        struct Link {
            Relation relation;
            std::vector<Term> right;  // one value, or the members of a list
        };
        std::vector<Link> links;
        do {
            const bool list = next == Relation::in || next == Relation::not_in;
            links.push_back({next, {}});
            if (list)
                links.back().right = members();
            else
                links.back().right.push_back(sum());
            if (list && relation(next)) wrong("'in' cannot be followed by another comparison");
            if (list) break;
        } while (relation(next));
        return [a = std::move(first), links = std::move(links)](const Variables& v) -> std::int64_t {
            std::int64_t left = a(v);
            for (const Link& link : links) {
                if (link.relation == Relation::in || link.relation == Relation::not_in) {
                    bool found = false;
                    for (const Term& member : link.right) found = found || member(v) == left;
                    return found == (link.relation == Relation::in);
                }
                const std::int64_t right = link.right[0](v);
                if (!holds(link.relation, left, right)) return 0;
                left = right;
            }
            return 1;
        };
    }
    std::vector<Term> members() {
        const bool square = take("[");
        if (!square && !take("(")) wrong("expected a list such as [0, 3, 6]");
        const std::string_view close = square ? "]" : ")";
        std::vector<Term> result;
        while (!take(close)) {
            if (!result.empty() && !take(",")) wrong("expected ',' or the end of the list");
            if (!result.empty() && take(close)) break;
            result.push_back(disjunction());
        }
        return result;
    }

    template <class Operation>
    static Term checked(Term a, Term b, Operation operation) {
        return [a = std::move(a), b = std::move(b), operation](const Variables& v) {
            std::int64_t result = 0;
            if (operation(a(v), b(v), &result))
                usage_error("a step expression grows too large at step {}", v.step);
            return result;
        };
    }
    Term sum() {
        Term left = product();
        while (true) {
            if (take("+"))
                left = checked(std::move(left), product(),
                               [](auto a, auto b, auto* r) { return __builtin_add_overflow(a, b, r); });
            else if (take("-"))
                left = checked(std::move(left), product(),
                               [](auto a, auto b, auto* r) { return __builtin_sub_overflow(a, b, r); });
            else
                return left;
        }
    }
    static Term division(Term a, Term b, bool quotient) {
        return [a = std::move(a), b = std::move(b), quotient](const Variables& v) -> std::int64_t {
            const std::int64_t x = a(v);
            const std::int64_t y = b(v);
            if (y == 0) usage_error("a step expression divides by zero at step {}", v.step);
            if (y == -1) {  // INT64_MIN / -1 does not fit
                std::int64_t negated = 0;
                if (quotient && __builtin_sub_overflow(std::int64_t{0}, x, &negated))
                    usage_error("a step expression grows too large at step {}", v.step);
                return negated;
            }
            const std::int64_t remainder = x % y;
            const bool adjust = remainder != 0 && (remainder < 0) != (y < 0);
            return quotient ? x / y - (adjust ? 1 : 0) : remainder + (adjust ? y : 0);
        };
    }
    Term product() {
        Term left = sign();
        while (true) {
            if (take("//"))
                left = division(std::move(left), sign(), true);
            else if (take("%"))
                left = division(std::move(left), sign(), false);
            else if (take("*"))
                left = checked(std::move(left), sign(),
                               [](auto a, auto b, auto* r) { return __builtin_mul_overflow(a, b, r); });
            else
                return left;
        }
    }
    Term sign() {
        bool negative = false;
        while (true) {
            if (take("-"))
                negative = !negative;
            else if (!take("+"))
                break;
        }
        Term inner = atom();
        if (!negative) return inner;
        return checked([](const Variables&) { return std::int64_t{0}; }, std::move(inner),
                       [](auto a, auto b, auto* r) { return __builtin_sub_overflow(a, b, r); });
    }
    Term atom() {
        if (take("(")) {
            Term inner = disjunction();
            if (!take(")")) wrong("expected ')'");
            return inner;
        }
        if (take("step")) return [](const Variables& v) { return v.step; };
        if (take("num_steps")) return [](const Variables& v) { return v.num_steps; };
        if (take("True")) return [](const Variables&) { return std::int64_t{1}; };
        if (take("False")) return [](const Variables&) { return std::int64_t{0}; };
        skip_space();
        std::int64_t number = 0;
        const char* begin = text_.data() + at_;
        const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
        if (error != std::errc() || *begin == '-') wrong("expected a whole number, step, num_steps or '('");
        at_ += static_cast<std::size_t>(end - begin);
        return [number](const Variables&) { return number; };
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

}  // namespace

std::function<bool(int, int)> parse_condition(std::string_view text) {
    return [term = Parser(text).parse()](int step, int num_steps) { return term({step, num_steps}) != 0; };
}

}  // namespace reprise::cachify
