#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace reprise {

/// What the command's exit status says about an error.
enum class ErrorKind {
    usage,      ///< a mistake of the user's: a bad option, file, configuration (exit status 2)
    failure,    ///< something failed that the user did not ask for: disk full, engine error (exit status 1)
    cancelled,  ///< the run was interrupted (exit status 130)
};

/// The one exception type of Reprise. `what()` is one line: what is wrong, what was found and what was
/// expected, and how to mend it.
class Error : public std::runtime_error {
  public:
    Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
    ErrorKind kind() const noexcept { return kind_; }

  private:
    ErrorKind kind_;
};

/// Throws an Error of kind `usage` with a formatted message.
template <class... Args>
[[noreturn]] void usage_error(fmt::format_string<Args...> format, Args&&... args) {
    throw Error(ErrorKind::usage, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws an Error of kind `failure` with a formatted message.
template <class... Args>
[[noreturn]] void failure(fmt::format_string<Args...> format, Args&&... args) {
    throw Error(ErrorKind::failure, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace reprise
