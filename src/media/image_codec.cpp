#include "media/image_codec.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "reprise/error.h"

namespace reprise {

Image decode_image(std::span<const std::byte> bytes, std::string_view file) {
    const auto begins_with = [&](std::string_view magic, std::size_t at) {
        return bytes.size() >= at + magic.size() &&
               std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
    };
    if (begins_with("\x89PNG\r\n\x1a\n", 0)) return decode_png(bytes, file);
    if (begins_with("\xff\xd8\xff", 0)) return decode_jpeg(bytes, file);
    if (begins_with("RIFF", 0) && begins_with("WEBP", 8)) return decode_webp(bytes, file);
    usage_error("{}: neither a PNG, a JPEG nor a WebP picture", file);
}

void check_image_size(std::uint64_t width, std::uint64_t height, std::string_view file) {
    constexpr std::uint64_t kSide = Image::kMaxSide;
    if (width < 1 || height < 1 || width > kSide || height > kSide ||
        width * height > static_cast<std::uint64_t>(Image::kMaxPixels))
        usage_error("{}: a picture of {}x{} pixels; sides must be 1 to {} and pixels at most {}", file, width,
                    height, kSide, Image::kMaxPixels);
}

void append_over_white(std::span<const std::uint8_t> rgba, std::vector<std::uint8_t>& rgb) {
    for (std::size_t i = 0; i + 3 < rgba.size(); i += 4) {
        const unsigned alpha = rgba[i + 3];
        for (std::size_t channel = 0; channel < 3; ++channel)
            rgb.push_back(
                static_cast<std::uint8_t>((rgba[i + channel] * alpha + 255 * (255 - alpha) + 127) / 255));
    }
}

}  // namespace reprise
