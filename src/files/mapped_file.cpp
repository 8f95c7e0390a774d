#include "files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "reprise/error.h"

namespace reprise {

MappedFile::MappedFile(const std::filesystem::path& path) {
    const auto reason = [](int error) { return std::generic_category().message(error); };
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) usage_error("{}: cannot be opened: {}", path.string(), reason(errno));
    struct stat status {};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(descriptor);
        usage_error("{}: not a file", path.string());
    }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ > 0) data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int error = errno;
    ::close(descriptor);
    if (data_ == MAP_FAILED) failure("{}: cannot be mapped: {}", path.string(), reason(error));
}

MappedFile::~MappedFile() {
    if (size_ > 0) ::munmap(data_, size_);
}

void MappedFile::release_pages() const {
    if (size_ > 0) ::madvise(data_, size_, MADV_DONTNEED);
}

}  // namespace reprise
