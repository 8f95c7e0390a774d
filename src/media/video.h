#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/image.h"

namespace reprise {

/// Frames of one size, at least one, and how they are played.
struct Video {
    std::span<const Image> frames;
    int fps = 7;     ///< frames a second, 1 to 1000
    ImageText text;  ///< as in pictures; an MP4 has it as its comment, in "key: value" lines
};

/// The file's bytes: H.264 in BT.709, at a quality where losses are hardly seen. Usage error for odd sides,
/// which H.264's colours do not have, and where this build has no FFmpeg; failure where the FFmpeg libraries
/// have no encoder. `file` names it in errors.
std::vector<std::byte> encode_mp4(const Video& video, std::string_view file);
/// The comment of an MP4 file; empty where it has none, is none, or this build has no FFmpeg.
std::string mp4_comment(const std::filesystem::path& file);
/// Usage error where this build has no FFmpeg: for callers that generate before they encode.
void check_mp4(std::string_view file);
/// An animated WebP that repeats for ever, lossless. Errors as encode_webp.
std::vector<std::byte> encode_animated_webp(const Video& video, std::string_view file);

/// Failure unless there are frames, all of one size, and the rate is one that can be played.
void check_video(const Video& video, std::string_view file);

}  // namespace reprise
