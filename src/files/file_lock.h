#pragma once

#include <filesystem>

namespace reprise {

/// Holds an exclusive lock (flock) on a file, made when absent and never removed, from construction to
/// destruction; waits for another holder, saying so. Usage error naming the file when it cannot be opened.
class FileLock {
  public:
    explicit FileLock(const std::filesystem::path& path);
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;
    ~FileLock();

  private:
    int descriptor_ = -1;
};

}  // namespace reprise
