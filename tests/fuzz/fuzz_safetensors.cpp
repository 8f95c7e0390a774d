#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "files/safetensors.h"
#include "reprise/error.h"

// A file of any bytes either gives tensors that can be read from end to end, or an Error of kind usage.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using reprise::SafetensorsFile;
    const auto owner = std::make_shared<std::vector<std::byte>>(size);
    if (size > 0) std::memcpy(owner->data(), data, size);
    try {
        const SafetensorsFile file(*owner, owner, "fuzz");
        std::size_t sum = 0;
        for (const auto& name : file.names()) {
            try {
                const auto tensor = file.find(name).value();
                const auto* bytes = static_cast<const std::uint8_t*>(tensor.data());
                for (std::size_t i = 0; i < tensor.bytes(); ++i) sum += bytes[i];
            } catch (const reprise::Error& error) {
                if (error.kind() != reprise::ErrorKind::usage) std::abort();
            }
        }
        volatile std::size_t keep = sum;
        static_cast<void>(keep);
    } catch (const reprise::Error& error) {
        if (error.kind() != reprise::ErrorKind::usage || std::strchr(error.what(), '\n') != nullptr)
            std::abort();
    }
    return 0;
}
