#pragma once

#pragma GCC visibility push(default)

namespace reprise {

/// How a picture is resized to the size of a video.
enum class Fit {
    stretch,    ///< to both sides, as diffusers does
    crop,       ///< to cover the size; what is outside of it is cut off evenly on both sides
    letterbox,  ///< to fit within the size, on black
};

/// The options of image-to-video pipelines alone. Names and defaults are diffusers'
/// (StableVideoDiffusionPipeline).
struct AnimateOptions {
    int num_frames = 0;                ///< 0: the number that the model was trained for
    int fps = 7;                       ///< frames a second, 1 to 1000; the model's input is fps - 1
    int motion_bucket_id = 127;        ///< a larger number means more motion
    double noise_aug_strength = 0.02;  ///< noise on the picture; with more, the video follows it less
    double min_guidance_scale = 1.0;   ///< at the first frame
    double max_guidance_scale = 3.0;   ///< at the last frame; no guidance where both are 1 or less
    int decode_chunk_size = 0;         ///< frames decoded at once; 0: all, or as many as memory allows
    Fit fit = Fit::stretch;

    friend bool operator==(const AnimateOptions&, const AnimateOptions&) = default;
};

}  // namespace reprise

#pragma GCC visibility pop
