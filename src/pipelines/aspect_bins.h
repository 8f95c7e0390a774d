#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "reprise/tensor.h"

namespace reprise::pipelines {

/// Sides in pixels.
struct PictureSize {
    int height = 0, width = 0;

    friend bool operator==(const PictureSize&, const PictureSize&) = default;
};

/// The picture sizes that PixArt was trained for, by their aspect ratio (diffusers: ASPECT_RATIO_1024_BIN and
/// the like).
class AspectBins {
  public:
    struct Bin {
        double ratio = 1;  ///< height / width, rounded
        int height = 0, width = 0;
    };

    /// Those for latents of that size: 32, 64, 128 or, `has_2048`, 256 (PixArt-sigma). Nothing for others.
    static std::optional<AspectBins> find(std::int64_t sample_size, bool has_2048);

    /// The size whose ratio is closest to that of the one asked for; the first of two that are.
    PictureSize closest(PictureSize asked) const;

  private:
    AspectBins(std::span<const Bin> bins, int divisor) : bins_(bins), divisor_(divisor) {}

    std::span<const Bin> bins_;
    int divisor_;
};

/// A picture (B, C, H, W) f32 scaled, bilinearly, so that it covers `size`, and its middle (diffusers:
/// PixArtImageProcessor.resize_and_crop_tensor).
Tensor resized_and_cropped(const Tensor& picture, PictureSize size);

}  // namespace reprise::pipelines
