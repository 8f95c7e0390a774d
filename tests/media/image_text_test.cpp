#include "media/image_text.h"

#include <gtest/gtest.h>

#include "media/image_codec.h"
#include "media/video.h"

namespace reprise {
namespace {

using Bytes = std::vector<std::byte>;

const ImageText kText = {{"prompt", "größe\nin two lines"}, {"other", "&lt; <a> & b"}, {"re", "{\"a\": 1}"}};

TEST(ImageText, IsReadWhereItWasWritten) {
    const Image image(8, 8);
    const std::vector<Image> frames(2, image);
    for (const Bytes& bytes : {encode_png(image, kText, "a.png"), encode_webp(image, kText, "a.webp"),
                               encode_animated_webp({frames, 7, kText}, "b.webp")}) {
        EXPECT_EQ(text_in(bytes, "other"), "&lt; <a> & b");
        EXPECT_EQ(text_in(bytes, "re"), "{\"a\": 1}");
        EXPECT_EQ(text_in(bytes, "r"), std::nullopt);
        EXPECT_EQ(text_in(bytes, "absent"), std::nullopt);
    }
    EXPECT_EQ(text_in(encode_png(image, kText, "a.png"), "prompt"), kText.front().second);
    EXPECT_EQ(text_in(encode_png(image, {}, "a.png"), "re"), std::nullopt);
}

TEST(ImageText, BrokenFilesHaveNone) {
    const Image image(8, 8);
    for (const Bytes& whole : {encode_png(image, kText, "a.png"), encode_webp(image, kText, "a.webp")})
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
            const auto found = text_in(part, "re");
            EXPECT_TRUE(!found || *found == "{\"a\": 1}") << size;
        }
}

}  // namespace
}  // namespace reprise
