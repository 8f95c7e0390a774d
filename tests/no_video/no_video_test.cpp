// What a build without FFmpeg says: src/media/no_ffmpeg, linked in the place of src/media/video_mp4.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "files/support.h"
#include "media/video.h"

namespace reprise {
namespace {

using test::error_of;
using testing::AllOf;
using testing::HasSubstr;

TEST(NoVideo, RefusesMp4InOneError) {
    const std::vector<Image> frames(2, Image(8, 8));
    const auto says = AllOf(HasSubstr("a.mp4"), HasSubstr("REPRISE_VIDEO"), HasSubstr(".webp"));
    EXPECT_THAT(error_of([&] { encode_mp4({frames, 7, {}}, "a.mp4"); }), says);
    EXPECT_THAT(error_of([&] { check_mp4("a.mp4"); }), says);
    EXPECT_EQ(mp4_comment("a.mp4"), "");
}

TEST(NoVideo, SavesWebP) {
    const std::vector<Image> frames(2, Image(8, 8));
    EXPECT_FALSE(encode_animated_webp({frames, 7, {}}, "a.webp").empty());
}

}  // namespace
}  // namespace reprise
