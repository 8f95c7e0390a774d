#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace reprise {

/// A file that is written beside its target and renamed onto it by `commit`, so that nobody ever sees half
/// of it; what was not committed is removed by the destructor. A target that is a link is followed; one
/// that is a device or a pipe is written directly. Every member's Error names the target and the system's
/// reason: kind usage for a place that cannot be written, failure for the rest, such as a full disk.
class AtomicFile {
  public:
    explicit AtomicFile(const std::filesystem::path& target);
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    ~AtomicFile();

    /// Appends.
    void write(std::span<const std::byte> bytes);
    void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
    /// Writes at a place of its own; several threads may do so at once.
    void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
    /// Sets the size, reserving the disk space where the file system can.
    void reserve(std::uint64_t size);
    /// Makes the file appear under its name. Nothing may be written afterwards.
    void commit();

  private:
    [[noreturn]] void fail(const char* action, int error) const;
    void close_and_remove() noexcept;

    std::filesystem::path target_;
    std::filesystem::path temporary_;  // empty when the target is written directly
    int descriptor_ = -1;
};

/// Writes a whole file through AtomicFile.
void write_file(const std::filesystem::path& target, std::string_view content);

}  // namespace reprise
