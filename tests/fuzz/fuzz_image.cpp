#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "media/image_codec.h"
#include "media/image_text.h"
#include "reprise/error.h"

// Any bytes either give a picture of the size it says or an Error of kind usage; small ones survive being
// saved as PNG and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace reprise;
    text_in(std::as_bytes(std::span(data, size)), "reprise");  // any bytes have it or have it not
    try {
        const Image image = decode_image(std::as_bytes(std::span(data, size)), "fuzz");
        if (image.pixels().size() !=
            3U * static_cast<unsigned>(image.width()) * static_cast<unsigned>(image.height()))
            std::abort();
        if (image.pixels().size() < 30'000 && decode_image(encode_png(image, {}, "again"), "again") != image)
            std::abort();
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::usage || std::strchr(error.what(), '\n') != nullptr) std::abort();
    }
    return 0;
}
