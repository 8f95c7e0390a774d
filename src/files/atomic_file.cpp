#include "files/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <system_error>

#include "reprise/error.h"

namespace reprise {

namespace fs = std::filesystem;

namespace {

/// The file that a link leads to, there or not; the path itself when it is no link.
fs::path follow(fs::path path) {
    std::error_code error;
    for (int links = 0; links < 40 && fs::is_symlink(path, error); ++links) {
        const fs::path next = fs::read_symlink(path, error);
        if (error) break;
        path = path.parent_path() / next;
    }
    return path;
}

bool is_users_mistake(int error) {
    switch (error) {
        case EACCES:
        case EEXIST:
        case EISDIR:
        case ELOOP:
        case ENAMETOOLONG:
        case ENOENT:
        case ENOTDIR:
        case EPERM:
        case EROFS:
            return true;
        default:
            return false;
    }
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& target) : target_(follow(target)) {
    if (target_.empty()) usage_error("cannot write a file: its name is empty");
    std::error_code ignored;
    const auto status = fs::status(target_, ignored);
    if (fs::is_directory(status)) fail("write", EISDIR);
    if (fs::exists(status) && !fs::is_regular_file(status)) {
        descriptor_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
        if (descriptor_ < 0) fail("open", errno);
        return;
    }
    std::random_device random;
    const std::string name = target_.filename().string().substr(0, 200);
    for (int attempt = 0; descriptor_ < 0; ++attempt) {
        temporary_ = target_.parent_path() / fmt::format(".{}.{:08x}.tmp", name, random());
        descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor_ < 0 && (errno != EEXIST || attempt == 100)) {
            const int error = errno;
            temporary_.clear();
            fail("write", error);
        }
    }
}

AtomicFile::~AtomicFile() {
    close_and_remove();
}

void AtomicFile::close_and_remove() noexcept {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    temporary_.clear();
}

void AtomicFile::fail(const char* action, int error) const {
    const std::string reason = std::generic_category().message(error);
    const fs::path folder = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
    std::error_code ignored;
    if (error == ENOENT && !fs::exists(folder, ignored))
        usage_error("cannot {} {}: the folder {} does not exist", action, target_.string(), folder.string());
    if (is_users_mistake(error)) usage_error("cannot {} {}: {}", action, target_.string(), reason);
    failure("cannot {} {}: {}", action, target_.string(), reason);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("write", errno);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("write", errno);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
}

void AtomicFile::reserve(std::uint64_t size) {
    int result = 0;
    do {
        result = ::fallocate(descriptor_, 0, 0, static_cast<off_t>(size));
    } while (result != 0 && errno == EINTR);
    if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        result = ::ftruncate(descriptor_, static_cast<off_t>(size));
    if (result != 0) fail("reserve space for", errno);
}

void AtomicFile::commit() {
    const int closed = ::close(descriptor_);
    descriptor_ = -1;
    if (closed != 0 && errno != EINTR) fail("finish", errno);
    if (temporary_.empty()) return;
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("rename the finished file to", errno);
    temporary_.clear();
}

void write_file(const fs::path& target, std::string_view content) {
    AtomicFile file(target);
    file.write(content);
    file.commit();
}

}  // namespace reprise
