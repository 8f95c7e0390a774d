#include "reprise/image.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "files/json.h"
#include "files/support.h"
#include "media/image_codec.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;
using testing::ElementsAre;
using testing::HasSubstr;

const fs::path kFixtures = fs::path(REPRISE_FIXTURES) / "io";

Image gradient(int width, int height) {
    Image image(width, height);
    for (std::size_t i = 0; i < image.pixels().size(); ++i)
        image.pixels()[i] = static_cast<std::uint8_t>(i * 7 + i / 64);
    return image;
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

TEST(Image, SavedThenLoadedIsEqual) {
    const TempFolder folder;
    const Image image = gradient(31, 17);
    for (const auto* name : {"a.png", "a.webp", "B.PNG"}) {
        image.save(folder / name);
        EXPECT_EQ(Image::load(folder / name), image) << name;
    }
    EXPECT_EQ(folder.file_count(), 3);
    EXPECT_EQ(image.at(2, 1)[1], image.pixels()[(31 + 2) * 3 + 1]);
}

TEST(Image, CarriesTexts) {
    const TempFolder folder;
    const ImageText text{
        {"prompt", "red apple"}, {"negative prompt", "flou, été 🍎\nline <2> & \"3\""}, {"seed", ""}};
    gradient(8, 8).save(folder / "a.png", text);
    const std::string png = test::read(folder / "a.png");
    using namespace std::string_literals;
    EXPECT_THAT(png, HasSubstr("tEXtprompt\0red apple"s));
    EXPECT_THAT(png, HasSubstr("iTXtnegative prompt\0\0\0\0\0"s + text[1].second));
    gradient(8, 8).save(folder / "a.webp", text);
    EXPECT_THAT(test::read(folder / "a.webp"),
                HasSubstr("prompt: red apple\nnegative prompt: flou, été 🍎\nline &lt;2&gt; &amp; \"3\""));
    EXPECT_EQ(Image::load(folder / "a.webp"), gradient(8, 8));
    for (const std::string key : {"", " a", "a ", "a  b", "é", "a\nb"})
        EXPECT_THAT(error_of(
                        [&] {
                            gradient(2, 2).save(folder / "b.png", {{key, "x"}});
                        },
                        ErrorKind::failure),
                    HasSubstr("key of a PNG text"))
            << key;
    EXPECT_FALSE(fs::exists(folder / "b.png"));
}

TEST(Image, ReadsEveryKindOfPng) {
    const Json kinds = load_json(kFixtures / "kinds.json");
    ASSERT_EQ(kinds.size(), 6U);
    for (const auto& [kind, pixels] : kinds.items()) {
        const Image image = Image::load(kFixtures / ("kind_" + kind + ".png"));
        EXPECT_EQ(image.width(), 5);
        EXPECT_EQ(image.height(), 4);
        const auto expected = pixels.get<std::vector<std::uint8_t>>();
        EXPECT_TRUE(
            std::equal(expected.begin(), expected.end(), image.pixels().begin(), image.pixels().end()))
            << kind;
    }
    EXPECT_EQ(Image::load(kFixtures / "interlaced.png"), Image::load(kFixtures / "base.png"));
}

TEST(Image, ConvertsAsDiffusersDoes) {
    // x / 2 + 0.5, times 255: 127.5 and 126.5 round to the even neighbour.
    const float low_half = 2 * (126.5F / 255) - 1;
    const std::vector<float> values{
        -1,   1,     0,     low_half, -3, 3, std::nanf(""), std::numeric_limits<float>::infinity(),
        0.5F, -0.5F, -0.0F, 0.999F};
    const Image image = Image::from_chw(Tensor::from({3, 2, 2}, values));
    EXPECT_EQ(image.width(), 2);
    EXPECT_THAT(image.at(0, 0), ElementsAre(0, 0, 191));
    EXPECT_THAT(image.at(1, 0), ElementsAre(255, 255, 64));
    EXPECT_THAT(image.at(0, 1), ElementsAre(128, 0, 128));
    EXPECT_THAT(image.at(1, 1), ElementsAre(126, 255, 255));
    for (const Shape& shape :
         {Shape{1, 2, 2}, Shape{1, 3, 2, 2}, Shape{3, 2}, Shape{3, 0, 2}, Shape{3, 1, 20000}})
        error_of([&] { Image::from_chw(Tensor(DType::f32, shape)); }, ErrorKind::failure);
    error_of([] { Image::from_chw(Tensor(DType::f16, {3, 2, 2})); }, ErrorKind::failure);
}

TEST(Image, SizesAreLimited) {
    EXPECT_THAT(error_of([] { Image(0, 5); }, ErrorKind::failure), HasSubstr("0x5 pixels"));
    EXPECT_THAT(error_of([] { Image(16385, 5); }, ErrorKind::failure), HasSubstr("16385x5"));
    EXPECT_THAT(error_of([] { Image(16384, 16384); }, ErrorKind::failure), HasSubstr("at most 134217728"));
    EXPECT_THAT(error_of([] { Image(2, 2, std::vector<std::uint8_t>(3)); }, ErrorKind::failure),
                HasSubstr("expected 12"));
}

TEST(Image, RefusesBrokenAndLyingFiles) {
    const TempFolder folder;
    EXPECT_THAT(error_of([&] { Image::load(folder / "none.png"); }),
                HasSubstr("none.png: cannot be opened: No such file"));
    EXPECT_THAT(error_of([&] { Image::load(folder.put("a.png", "hello")); }),
                HasSubstr("a.png: neither a PNG, a JPEG nor a WebP"));
    EXPECT_THAT(error_of([&] { Image::load(folder.put("empty.png", "")); }),
                HasSubstr("neither a PNG, a JPEG nor a WebP"));
    for (const auto* name : {"a.png", "a.webp"}) {
        gradient(9, 9).save(folder / name);
        const std::string content = test::read(folder / name);
        for (std::size_t size = 0; size < content.size(); size += 3)
            error_of([&] { decode_image(bytes_of(content.substr(0, size)), name); });
    }
    std::string png = test::read(folder / "a.png");
    png[40] = static_cast<char>(png[40] ^ 1);
    EXPECT_THAT(error_of([&] { decode_image(bytes_of(png), "a.png"); }), HasSubstr("a.png: broken PNG: "));
    // A header that claims 2^31 - 1 pixels a side, with its right checksum.
    std::string bomb = test::read(folder / "a.png");
    bomb.replace(16, 8, "\x7f\xff\xff\xff\x7f\xff\xff\xff", 8);
    bomb.replace(29, 4, "\x9b\xab\x9c\x31", 4);
    EXPECT_THAT(error_of([&] { decode_image(bytes_of(bomb), "bomb.png"); }), HasSubstr("bomb.png: "));
}

/// The PNG with a chunk after its header.
std::string with_chunk(const std::string& png, const std::string& type, const std::string& data) {
    constexpr std::size_t kHeaderEnd = 33;
    std::string length(4, '\0');
    for (std::size_t i = 0; i < 4; ++i)
        length[i] = static_cast<char>(static_cast<unsigned char>(data.size() >> (24 - 8 * i)));
    // Its checksum does not hold, which readers do not mind of what they pass over.
    return png.substr(0, kHeaderEnd) + length + type + data + "none" + png.substr(kHeaderEnd);
}

TEST(Image, PassesOverWhatPngsSayBesidePixels) {
    const TempFolder folder;
    const Image image = gradient(31, 17);
    image.save(folder / "a.png");
    const std::string png = test::read(folder / "a.png");
    using namespace std::string_literals;
    for (const std::string type : {"tEXt", "zTXt", "iTXt", "iCCP", "sPLT", "eXIf", "gAMA", "prVt"})
        for (const std::size_t size : {std::size_t{0}, std::size_t{10'000'000}}) {
            const std::string data = "key\0\0\0\0\0"s + std::string(size, 'a');
            EXPECT_EQ(decode_image(bytes_of(with_chunk(png, type, data)), "a.png"), image) << type << size;
        }
    std::string many = png;
    for (int i = 0; i < 2000; ++i) many = with_chunk(many, "tEXt", "key\0value"s);
    EXPECT_EQ(decode_image(bytes_of(many), "a.png"), image);
    EXPECT_THAT(
        error_of([&] { decode_image(bytes_of(with_chunk(png, "CrIt", "x")), "a.png"); }, ErrorKind::usage),
        HasSubstr("broken PNG: CrIt"));
}

/// TIFF of one entry: the orientation.
std::string exif_of(int orientation, bool little, char type) {
    const auto number = [&](unsigned value, std::size_t size) {
        std::string text(size, '\0');
        for (std::size_t i = 0; i < size; ++i)
            text[little ? i : size - 1 - i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
        return text;
    };
    const std::size_t size = type == 1 ? 1 : type == 3 ? 2 : 4;
    return (little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) + number(0x112, 2) +
           number(static_cast<unsigned>(type), 2) + number(1, 4) +
           number(static_cast<unsigned>(orientation), size) + std::string(4 - size, '\0') + number(0, 4);
}

TEST(Image, TurnsPngsAsTheirExifSays) {
    const TempFolder folder;
    const Image image = gradient(7, 5);
    image.save(folder / "a.png");
    const std::string png = test::read(folder / "a.png");
    const auto turned = [&](const std::string& exif) {
        return decode_image(bytes_of(with_chunk(png, "eXIf", exif)), "a.png");
    };
    // Turned by each and then back is what it was; readers agree whatever the kind of number.
    const int back[] = {1, 2, 3, 4, 5, 8, 7, 6};
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const Image once = turned(exif_of(orientation, true, 3));
        EXPECT_EQ(once.width(), orientation < 5 ? 7 : 5);
        EXPECT_EQ(once == image, orientation == 1);
        once.save(folder / "b.png");
        EXPECT_EQ(decode_image(bytes_of(with_chunk(test::read(folder / "b.png"), "eXIf",
                                                   exif_of(back[orientation - 1], false, 3))),
                               "b.png"),
                  image);
        for (const char type : {'\1', '\4'}) EXPECT_EQ(turned(exif_of(orientation, false, type)), once);
        const std::string prefix("Exif\0\0", 6);
        EXPECT_EQ(turned(prefix + exif_of(orientation, true, 3)), once);
        const std::string number = std::to_string(orientation);
        for (const std::string& xmp :
             {"<x tiff:Orientation=\"" + number + "\"/>", "<tiff:Orientation>" + number + "</x>"})
            EXPECT_EQ(decode_image(bytes_of(with_chunk(png, "iTXt",
                                                       std::string("XML:com.adobe.xmp\0\0\0\0\0", 22) + xmp)),
                                   "a.png"),
                      once);
    }
    // Nonsense is upright, or turned, but never an error.
    const std::string exif = exif_of(6, true, 3);
    for (std::size_t at = 0; at < exif.size(); ++at)
        for (const char value : {'\0', '\x7f', '\xff'}) {
            std::string broken = exif;
            broken[at] = value;
            EXPECT_EQ(turned(broken).pixels().size(), image.pixels().size());
        }
    for (std::size_t size = 0; size < exif.size(); ++size)
        EXPECT_EQ(turned(exif.substr(0, size)).pixels().size(), image.pixels().size());
}

TEST(Image, SaysWhyItCannotBeSaved) {
    const TempFolder folder;
    const Image image = gradient(4, 4);
    EXPECT_THAT(error_of([&] { image.save(folder / "a.jpg"); }),
                HasSubstr("saved as .png or .webp, not as \".jpg\""));
    EXPECT_THAT(error_of([&] { image.save(folder / "a"); }), HasSubstr("not as \"\""));
    EXPECT_THAT(error_of([&] { image.save(folder / "none/a.png"); }), HasSubstr("does not exist"));
    EXPECT_THAT(error_of([&] { Image(16384, 2).save(folder / "a.webp"); }), HasSubstr("save it as .png"));
    EXPECT_THAT(error_of([&] { Image().save(folder / "a.png"); }, ErrorKind::failure),
                HasSubstr("empty picture"));
    fs::create_symlink("/dev/full", folder / "full.png");
    EXPECT_THAT(error_of([&] { image.save(folder / "full.png"); }, ErrorKind::failure),
                HasSubstr("No space left on device"));
    EXPECT_EQ(folder.file_count(), 1);
}

TEST(Image, MontageLaysPicturesOut) {
    Image red(2, 2);
    for (std::size_t i = 0; i < 12; i += 3) red.pixels()[i] = 255;
    const std::vector<Image> images{red, Image(4, 2), red};
    const Image row = montage(images);
    EXPECT_EQ(row.width(), 3 * 4 + 2 * 8);
    EXPECT_EQ(row.height(), 2);
    const Image sheet = montage(images, {.columns = 2, .gap = 1});
    EXPECT_EQ(sheet.width(), 9);
    EXPECT_EQ(sheet.height(), 5);
    EXPECT_THAT(sheet.at(0, 0), ElementsAre(255, 255, 255));
    EXPECT_THAT(sheet.at(1, 0), ElementsAre(255, 0, 0));
    EXPECT_THAT(sheet.at(3, 1), ElementsAre(255, 255, 255));
    EXPECT_THAT(sheet.at(5, 1), ElementsAre(0, 0, 0));
    EXPECT_THAT(sheet.at(4, 1), ElementsAre(255, 255, 255));
    EXPECT_THAT(sheet.at(2, 4), ElementsAre(255, 0, 0));
    EXPECT_THAT(sheet.at(8, 4), ElementsAre(255, 255, 255));
    error_of([] { montage({}); }, ErrorKind::failure);
    error_of([&] { montage(images, {.columns = 1, .gap = 16000}); }, ErrorKind::failure);
}

}  // namespace
}  // namespace reprise
