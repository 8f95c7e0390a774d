#pragma once

#include "reprise/animate.h"
#include "reprise/image.h"
#include "reprise/tensor.h"

namespace reprise {

/// Sides in pixels.
struct ImageSize {
    int width = 0, height = 0;
};

/// Pillow's Image.resize with its Lanczos filter, to the last bit. Failure for a size that no Image may have.
Image resize_lanczos(const Image& image, ImageSize size);

/// A picture of this size by resize_lanczos: stretched, or scaled and cut off, or scaled and laid on black,
/// in the middle (diffusers' VaeImageProcessor with resize_mode "default" and "crop"; "fill" leaves what
/// the letterbox has black to the picture's edges).
Image fitted(const Image& image, ImageSize size, Fit fit);

/// (3, H, W) f32 from -1 to 1, as diffusers' image processors have it.
Tensor to_chw(const Image& image);

/// A picture (C, H, W) f32 at another size: blurred as much as it shrinks, then by bicubic interpolation
/// between aligned corners (`_resize_with_antialiasing` in diffusers' Stable Video Diffusion).
Tensor resize_antialiased(const Tensor& picture, ImageSize size);

}  // namespace reprise
