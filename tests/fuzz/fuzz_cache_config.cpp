#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "reprise/cachify.h"
#include "reprise/error.h"

// Any text either gives a configuration that survives its JSON form and can be asked about modules and steps,
// or an Error of kind usage in one line.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace reprise;
    const auto check = [](const Error& error) {
        if (error.kind() != ErrorKind::usage || std::strchr(error.what(), '\n') != nullptr) std::abort();
    };
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    try {
        const cachify::StepFunction condition{std::string(text)};
        for (int step = 0; step < 4; ++step) condition(step, 4);
    } catch (const Error& error) {
        check(error);
    }
    try {
        const cachify::Config config = cachify::parse_config(text, "fuzz");
        const std::string json = cachify::to_json(config);
        if (cachify::to_json(cachify::parse_config(json, "again")) != json) std::abort();
        for (const auto& entry : config) {
            entry.wildcard_or_filter_func.matches("up_blocks.2.attentions.0.transformer_blocks.0.attn2");
            entry.select_cache_step_func(3, 20);
        }
    } catch (const Error& error) {
        check(error);
    }
    return 0;
}
