#include "media/video.h"
#include "reprise/error.h"

namespace reprise {

void check_mp4(std::string_view file) {
    usage_error(
        "{}: saving MP4 was not built (REPRISE_VIDEO is off); save it as .webp or .png, or configure with "
        "-DREPRISE_VIDEO=ON",
        file);
}

std::vector<std::byte> encode_mp4(const Video& video, std::string_view file) {
    check_video(video, file);
    check_mp4(file);
    return {};
}

std::string mp4_comment(const std::filesystem::path& /*file*/) {
    return {};
}

}  // namespace reprise
