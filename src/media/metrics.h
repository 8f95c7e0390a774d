#pragma once

#include "reprise/image.h"
#include "reprise/tensor.h"

namespace reprise {

/// Peak signal-to-noise ratio over all 8-bit values, in dB; infinity for equal pictures. Failure when the
/// sizes differ.
double psnr(const Image& a, const Image& b);

/// Structural similarity (Wang et al. 2004): a Gaussian window of 11x11 with sigma 1.5, K 0.01 and 0.03,
/// over windows that lie inside the picture, the mean of the three channels; 1 for equal pictures. Equal to
/// skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
/// data_range=255, channel_axis=-1). Failure when the sizes differ or a side is below 11.
double ssim(const Image& a, const Image& b);

/// ||a - b|| / ||b|| over all elements (Euclidean); 0 for equal tensors, infinity when only b is zero.
/// Failure when the shapes differ.
double relative_error(const Tensor& a, const Tensor& b);

}  // namespace reprise
