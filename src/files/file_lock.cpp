#include "files/file_lock.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "reprise/error.h"

namespace reprise {

FileLock::FileLock(const std::filesystem::path& path) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0)
        usage_error("cannot open {}: {}", path.string(), std::generic_category().message(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
    if (errno == EWOULDBLOCK) spdlog::info("waiting for another process that holds {}", path.string());
    // A file system without locks is used without them: files still appear whole or not at all.
    while (::flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
    }
}

FileLock::~FileLock() {
    ::close(descriptor_);
}

}  // namespace reprise
