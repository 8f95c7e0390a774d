#include "files/safetensors.h"
#include "files/support.h"
#include "media/image_codec.h"

namespace reprise {
namespace {

using test::error_of;
using testing::HasSubstr;

const std::filesystem::path kFixtures = std::filesystem::path(REPRISE_FIXTURES) / "io";

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string bytes_of_file(const std::string& kind) {
    return test::read(kFixtures / ("jpeg_" + kind + ".jpg"));
}

// Other builds of libjpeg may round a value differently.
TEST(Jpeg, EveryKindIsReadAsPillowReadsIt) {
    const SafetensorsFile fixture(kFixtures / "pictures.safetensors");
    int kinds = 0;
    for (const auto& name : fixture.names()) {
        if (!name.starts_with("jpeg/")) continue;
        ++kinds;
        const Tensor pixels = *fixture.find(name);
        const Image image = Image::load(kFixtures / ("jpeg_" + name.substr(5) + ".jpg"));
        ASSERT_EQ(image.height(), pixels.dim(0)) << name;
        ASSERT_EQ(image.width(), pixels.dim(1)) << name;
        for (std::size_t i = 0; i < image.pixels().size(); ++i)
            ASSERT_NEAR(image.pixels()[i], pixels.span<std::uint8_t>()[i], 3) << name << " at " << i;
    }
    EXPECT_EQ(kinds, 14);
}

TEST(Jpeg, TruncatedOnesAreRefused) {
    for (const std::string kind : {"baseline", "progressive", "turned_6", "cmyk"}) {
        const std::string content = bytes_of_file(kind);
        for (std::size_t size = 3; size + 2 < content.size(); size += 5)
            EXPECT_THAT(error_of([&] { decode_image(bytes_of(content.substr(0, size)), "a.jpg"); }),
                        HasSubstr("a.jpg: broken JPEG: "));
    }
}

TEST(Jpeg, LyingHeadersAreRefused) {
    std::string bomb = bytes_of_file("baseline");
    const auto frame = bomb.find("\xff\xc0");
    ASSERT_NE(frame, std::string::npos);
    bomb.replace(frame + 5, 4, "\xff\xff\xff\xff", 4);  // height and width
    EXPECT_THAT(error_of([&] { decode_image(bytes_of(bomb), "a.jpg"); }), HasSubstr("a.jpg: "));
    bomb.replace(frame + 5, 4, std::string("\x20\x00\x20\x00", 4));
    EXPECT_THAT(error_of([&] { decode_image(bytes_of(bomb), "a.jpg"); }), HasSubstr("broken JPEG: "));
}

TEST(Jpeg, OrientationsThatMakeNoSenseAreIgnored) {
    const std::string upright = bytes_of_file("turned_1");
    const Image image = decode_image(bytes_of(upright), "a.jpg");
    const auto exif = upright.find("Exif");
    ASSERT_NE(exif, std::string::npos);
    // Whatever byte of the Exif data is broken, the picture is read, upright or turned.
    for (std::size_t at = exif; at < exif + 32; ++at)
        for (const char value : {'\0', '\x7f', '\xff'}) {
            std::string broken = upright;
            broken[at] = value;
            const Image read = decode_image(bytes_of(broken), "a.jpg");
            EXPECT_EQ(read.pixels().size(), image.pixels().size());
        }
}

}  // namespace
}  // namespace reprise
