#pragma once

namespace reprise {

/// How a picture comes to the size of a video.
enum class Fit {
    stretch,    ///< to both sides, as diffusers does
    crop,       ///< to cover the size; what stands over is cut off evenly
    letterbox,  ///< to lie within the size, on black
};

/// What an image-to-video pipeline is asked beside GenerateOptions. Names and defaults are diffusers'
/// (StableVideoDiffusionPipeline).
struct AnimateOptions {
    int num_frames = 0;                ///< 0: what the model was trained for
    int fps = 7;                       ///< frames a second, which the model is told less one
    int motion_bucket_id = 127;        ///< more is more motion
    double noise_aug_strength = 0.02;  ///< noise on the picture: more follows it less
    double min_guidance_scale = 1.0;   ///< at the first frame
    double max_guidance_scale = 3.0;   ///< at the last frame; guidance is off at 1 and below
    int decode_chunk_size = 0;         ///< frames decoded at once; 0: all, or as many as memory allows
    Fit fit = Fit::stretch;

    friend bool operator==(const AnimateOptions&, const AnimateOptions&) = default;
};

}  // namespace reprise
