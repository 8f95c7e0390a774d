#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reprise/tensor.h"

#pragma GCC visibility push(default)

namespace reprise {

/// The texts in a picture file, in order, such as {"prompt", "red apple"}. A key has 1 to 79 printable ASCII
/// characters. A value is UTF-8.
using ImageText = std::vector<std::pair<std::string, std::string>>;

/// A picture of 8-bit RGB pixels, row by row from the top left.
class Image {
  public:
    /// No picture: `empty()` is true.
    Image() = default;
    /// A black picture. Error (failure) unless both sides are 1 to 16384 and it has at most kMaxPixels.
    Image(int width, int height);
    /// A picture of these height * width * 3 values. Error (failure) as above, and for another count.
    Image(int width, int height, std::vector<std::uint8_t> pixels);
    /// A picture from the autoencoder's output: f32 of shape (3, height, width), -1 to 1. The conversion is
    /// diffusers': x / 2 + 0.5, limited to 0..1, times 255, rounded to nearest even. NaN becomes 0. Error
    /// (failure) for another shape or type.
    static Image from_chw(const Tensor& tensor);
    /// Reads a PNG or JPEG of any kind, or a WebP. The content decides, not the extension. The picture is
    /// turned upright as its Exif or XMP data say. Transparent pixels are drawn on white.
    /// Error (usage) that names the file when it is absent, broken or larger than the constructor allows.
    static Image load(const std::filesystem::path& path);

    /// Writes a .png or a lossless .webp. The file is complete or does not exist. The texts go into PNG text
    /// chunks, or into WebP's XMP description as "key: value" lines. Error (usage) for another extension or a
    /// place that cannot be written; Error (failure) for a full disk.
    void save(const std::filesystem::path& path, const ImageText& text = {}) const;

    bool empty() const { return pixels_.empty(); }
    int width() const { return width_; }
    int height() const { return height_; }
    /// height * width * 3 values.
    std::span<std::uint8_t> pixels() { return pixels_; }
    std::span<const std::uint8_t> pixels() const { return pixels_; }
    /// Red, green and blue of the pixel in column x of row y.
    std::span<std::uint8_t> at(int x, int y) { return pixels().subspan(offset(x, y), 3); }
    std::span<const std::uint8_t> at(int x, int y) const { return pixels().subspan(offset(x, y), 3); }

    bool operator==(const Image&) const = default;

    static constexpr int kMaxSide = 16384;
    static constexpr std::int64_t kMaxPixels = std::int64_t{1} << 27;

  private:
    std::size_t offset(int x, int y) const {
        return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                static_cast<std::size_t>(x)) *
               3;
    }

    int width_ = 0;
    int height_ = 0;
    std::vector<std::uint8_t> pixels_;
};

/// How `montage` places the pictures.
struct MontageOptions {
    int columns = 0;  ///< pictures in a row; 0: all in one row
    int gap = 8;      ///< pixels between pictures
};

/// One white picture with all pictures on it, row by row. Each is in the middle of a cell. All cells have the
/// size of the largest picture. Error (failure) without pictures, or when the result is too large for an
/// Image.
Image montage(std::span<const Image> images, const MontageOptions& options = {});

}  // namespace reprise

#pragma GCC visibility pop
