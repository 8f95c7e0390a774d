#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace reprise {

/// A regular expression with the meaning that Python's `re` gives it for text: \w, \s, \S and \d are
/// Unicode's as Python sees them. Takes what PCRE2 and Python have in common; \S and \w stand outside of
/// classes or \s and \w inside. Immutable.
class PythonRegex {
  public:
    explicit PythonRegex(std::string_view expression);

    /// Every match replaced; "$1" stands for the first group.
    std::string replace_all(const std::string& text, std::string_view replacement) const;
    std::size_t count(std::string_view text) const;

    struct Match {
        std::size_t begin = 0, end = 0;
        std::size_t group_begin = 0, group_end = 0;  ///< of the first group; both 0 without one
    };
    /// The match that begins at `position`, or nothing.
    std::optional<Match> match_at(std::string_view text, std::size_t position) const;
    /// The first match from `position` on, or nothing.
    std::optional<Match> search(std::string_view text, std::size_t position) const;

  private:
    std::optional<Match> run(std::string_view text, std::size_t position, std::uint32_t options) const;

    struct Code;
    std::shared_ptr<const Code> code_;
};

}  // namespace reprise
