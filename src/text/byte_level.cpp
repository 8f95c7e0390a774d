#include "text/byte_level.h"

#include <cstdint>

#include "text/unicode.h"

namespace reprise {
namespace {

/// Bytes that stand for themselves, as the code points of Latin-1.
constexpr bool stands_for_itself(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr std::size_t kCodeCount = 0x100 + 68;  // the other 68 bytes get U+0100 onward, in order

/// The byte of each code point of the alphabet, -1 outside it.
constexpr std::array<std::int16_t, kCodeCount> kByteOfCode = [] {
    std::array<std::int16_t, kCodeCount> table{};
    table.fill(-1);
    std::size_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte)
        table[stands_for_itself(byte) ? byte : next++] = static_cast<std::int16_t>(byte);
    return table;
}();

}  // namespace

const std::array<std::string, 256>& byte_symbols() {
    static const auto kSymbols = [] {
        std::array<std::string, 256> symbols;
        for (std::size_t code = 0; code < kCodeCount; ++code) {
            if (kByteOfCode[code] < 0) continue;
            auto& symbol = symbols[static_cast<std::size_t>(kByteOfCode[code])];
            if (code >= 0x80) {
                symbol += static_cast<char>(0xc0U | (code >> 6U));
                symbol += static_cast<char>(0x80U | (code & 0x3fU));
            } else {
                symbol += static_cast<char>(code);
            }
        }
        return symbols;
    }();
    return kSymbols;
}

void append_token_bytes(std::string& bytes, std::string_view token) {
    const auto before = bytes.size();
    for (std::size_t i = 0; i < token.size();) {
        const auto code = static_cast<std::size_t>(next_char(token, i));
        if (code >= kCodeCount || kByteOfCode[code] < 0) {
            bytes.replace(before, std::string::npos, token);
            return;
        }
        bytes += static_cast<char>(kByteOfCode[code]);
    }
}

}  // namespace reprise
