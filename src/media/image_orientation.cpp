#include "media/image_orientation.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

namespace reprise {

namespace {

/// The entry for it in the first directory; 0 where its value is of another kind than a whole number.
std::optional<std::uint32_t> orientation_entry(std::span<const std::byte> exif) {
    constexpr std::size_t kPrefix = 6;
    constexpr unsigned kOrientation = 0x0112, kByte = 1, kShort = 3, kLong = 4;
    for (int i = 0; i < 2; ++i)  // some programs write it twice
        if (exif.size() >= kPrefix && std::memcmp(exif.data(), "Exif\0\0", kPrefix) == 0)
            exif = exif.subspan(kPrefix);
    if (exif.size() < 8) return {};
    const bool little = exif[0] == std::byte{'I'};
    const auto number = [&](std::size_t at, std::size_t size) {
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < size; ++i)
            value = value << 8 | std::to_integer<std::uint32_t>(exif[little ? at + size - 1 - i : at + i]);
        return value;
    };
    const std::size_t directory = number(4, 4);
    if (directory > exif.size() - 2) return {};
    const std::size_t entries = number(directory, 2);
    for (std::size_t i = 0; i < entries; ++i) {
        const std::size_t entry = directory + 2 + 12 * i;
        if (entry + 12 > exif.size()) return {};
        if (number(entry, 2) != kOrientation) continue;
        const unsigned type = number(entry + 2, 2);
        const std::size_t size = type == kByte ? 1 : type == kShort ? 2 : type == kLong ? 4 : 0;
        return number(entry + 8, size);
    }
    return {};
}

/// tiff:Orientation as an attribute or an element.
std::uint32_t orientation_in(std::string_view xmp) {
    constexpr std::string_view kName = "tiff:Orientation";
    for (auto at = xmp.find(kName); at != std::string_view::npos; at = xmp.find(kName, at + 1)) {
        std::string_view rest = xmp.substr(at + kName.size());
        const std::size_t before = rest.starts_with("=\"") ? 2 : rest.starts_with('>') ? 1 : 0;
        if (before == 0 || rest.size() == before) continue;
        if (const char digit = rest[before]; digit >= '0' && digit <= '9')
            return static_cast<std::uint32_t>(digit - '0');
    }
    return 1;
}

}  // namespace

int orientation_of(std::span<const std::byte> exif, std::string_view xmp) {
    const auto entry = orientation_entry(exif);
    const std::uint32_t value = entry ? *entry : orientation_in(xmp);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Image upright(Image image, int orientation) {
    if (orientation == 1) return image;
    const int width = image.width();
    const int height = image.height();
    const bool turned = orientation >= 5;
    Image result(turned ? height : width, turned ? width : height);
    for (int y = 0; y < result.height(); ++y)
        for (int x = 0; x < result.width(); ++x) {
            int from_x = turned ? y : x;
            int from_y = turned ? x : y;
            if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
                from_x = width - 1 - from_x;
            if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
                from_y = height - 1 - from_y;
            const auto pixel = image.at(from_x, from_y);
            std::copy(pixel.begin(), pixel.end(), result.at(x, y).begin());
        }
    return result;
}

}  // namespace reprise
