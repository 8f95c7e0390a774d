#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace reprise {

/// Who or what caused an error. The command's exit status follows from it.
enum class ErrorKind {
    usage,      ///< the user's mistake: a bad option, file or configuration (exit status 2)
    failure,    ///< something else failed: the disk is full, the engine reports an error (exit status 1)
    cancelled,  ///< the run was interrupted (exit status 130)
};

/// The only exception type of Reprise. `what()` is one line. It says what is wrong, what was found, what was
/// expected and how to correct it.
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

#pragma GCC visibility pop
