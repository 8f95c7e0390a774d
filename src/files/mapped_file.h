#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace reprise {

/// A file's bytes, mapped for reading. The file must not shrink while it is mapped.
class MappedFile {
  public:
    /// Usage error naming the file when it is absent, not a regular file or cannot be read.
    explicit MappedFile(const std::filesystem::path& path);
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
    /// Lets the system take back the pages read so far; reading them again reads the file again.
    void release_pages() const;

  private:
    void* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace reprise
