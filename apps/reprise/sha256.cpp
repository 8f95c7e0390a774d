#include "sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>

#include "files/mapped_file.h"
#include "reprise/error.h"

namespace reprise::app {

std::string sha256_of(const std::filesystem::path& file) {
    const MappedFile mapped(file);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (EVP_Digest(mapped.bytes().data(), mapped.bytes().size(), digest, &size, EVP_sha256(), nullptr) != 1)
        failure("{}: its SHA-256 could not be computed", file.string());
    std::string text;
    for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
}

}  // namespace reprise::app
