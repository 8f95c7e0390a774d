#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reprise {

/// FNV-1a, 64 bits: tells things apart, keeps no secrets.
class Fingerprint {
  public:
    void add(const void* data, std::size_t bytes) {
        for (std::size_t i = 0; i < bytes; ++i) {
            state_ ^= static_cast<const unsigned char*>(data)[i];
            state_ *= 0x100000001b3U;
        }
    }
    void add(std::string_view text) { add(text.data(), text.size()); }

    /// Sixteen hexadecimal digits.
    std::string text() const { return fmt::format("{:016x}", state_); }

  private:
    std::uint64_t state_ = 0xcbf29ce484222325U;
};

}  // namespace reprise
