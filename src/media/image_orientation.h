#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "reprise/image.h"

namespace reprise {

/// How a camera was held, 1 to 8: what Exif data (TIFF, with or without "Exif\0\0" before it) say, or else an
/// XMP packet, as Pillow reads them. 1, upright, where neither says anything sensible. Either may be empty.
int orientation_of(std::span<const std::byte> exif, std::string_view xmp);

/// The picture as a camera that was held that way means it.
Image upright(Image image, int orientation);

}  // namespace reprise
