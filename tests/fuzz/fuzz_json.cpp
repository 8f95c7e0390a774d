#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "files/json.h"
#include "reprise/error.h"

// Any text either gives a document that survives being written and read again, whose members can be asked
// for as any type, or an Error of kind usage.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace reprise;
    const auto check = [](const Error& error) {
        if (error.kind() != ErrorKind::usage || std::strchr(error.what(), '\n') != nullptr) std::abort();
    };
    try {
        const Json json = parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
        const std::string text = json.dump();
        if (parse_json(text, "again").dump() != text) std::abort();
        if (!json.is_object()) return 0;
        for (const auto& member : json.items()) {
            const std::string& key = member.key();
            const auto attempt = [&](const auto& action) {
                try {
                    action();
                } catch (const Error& error) {
                    check(error);
                }
            };
            attempt([&] { require<int>(json, key, "fuzz"); });
            attempt([&] { require<float>(json, key, "fuzz"); });
            attempt([&] { require<std::string>(json, key, "fuzz"); });
            attempt([&] { require<std::vector<double>>(json, key, "fuzz"); });
            attempt([&] { require_ints(json, key, 2, "fuzz"); });
        }
    } catch (const Error& error) {
        check(error);
    }
    return 0;
}
