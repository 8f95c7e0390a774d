#include "media/video.h"

#include "reprise/error.h"

namespace reprise {

void check_video(const Video& video, std::string_view file) {
    constexpr int kMaxFps = 1000;
    if (video.frames.empty()) failure("{}: a video of no frames cannot be saved", file);
    if (video.fps < 1 || video.fps > kMaxFps)
        usage_error("{}: {} frames a second, expected 1 to {}", file, video.fps, kMaxFps);
    const Image& first = video.frames.front();
    for (const Image& frame : video.frames)
        if (frame.empty() || frame.width() != first.width() || frame.height() != first.height())
            failure("{}: a frame of {}x{} pixels in a video of {}x{}", file, frame.width(), frame.height(),
                    first.width(), first.height());
}

}  // namespace reprise
