#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <memory>

#include "media/image_codec.h"
#include "media/image_orientation.h"
#include "media/image_text.h"
#include "media/video.h"
#include "reprise/error.h"

namespace reprise {

namespace {

struct WebPDeleter {
    void operator()(std::uint8_t* data) const { WebPFree(data); }
    void operator()(WebPMux* mux) const { WebPMuxDelete(mux); }
    void operator()(WebPAnimEncoder* encoder) const { WebPAnimEncoderDelete(encoder); }
};
using WebPBytes = std::unique_ptr<std::uint8_t, WebPDeleter>;

std::vector<std::byte> copy(const std::uint8_t* data, std::size_t size) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    return {bytes, bytes + size};
}

std::string xml_escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            default:
                result += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
        }
    }
    return result;
}

/// An XMP packet whose description (dc:description) is "key: value" lines.
std::string xmp_of(const ImageText& text) {
    std::string lines;
    for (const auto& [key, value] : text) lines += fmt::format("{}: {}\n", key, value);
    return "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
           "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
           "<rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">"
           "<dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">" +
           xml_escaped(lines) +
           "</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>";
}

void check_sides(const Image& image, std::string_view file) {
    if (image.width() > WEBP_MAX_DIMENSION || image.height() > WEBP_MAX_DIMENSION)
        usage_error("{}: WebP pictures have at most {} pixels a side, this one is {}x{}; save it as .png",
                    file, WEBP_MAX_DIMENSION, image.width(), image.height());
}

/// The WebP with its texts in it.
std::vector<std::byte> with_text(const std::uint8_t* encoded, std::size_t size, const ImageText& text,
                                 std::string_view file) {
    if (text.empty()) return copy(encoded, size);
    const WebPData picture{encoded, size};
    const std::unique_ptr<WebPMux, WebPDeleter> mux(WebPMuxCreate(&picture, 0));
    const std::string xmp = xmp_of(text);
    const WebPData chunk{reinterpret_cast<const std::uint8_t*>(xmp.data()), xmp.size()};
    WebPData whole{};
    if (!mux || WebPMuxSetChunk(mux.get(), "XMP ", &chunk, 0) != WEBP_MUX_OK ||
        WebPMuxAssemble(mux.get(), &whole) != WEBP_MUX_OK)
        failure("{}: texts cannot be put into the WebP", file);
    auto result = copy(whole.bytes, whole.size);
    WebPDataClear(&whole);
    return result;
}

/// A chunk of a WebP; empty where there is none.
std::string chunk_of(std::span<const std::byte> file, const char* name) {
    const WebPData whole{reinterpret_cast<const std::uint8_t*>(file.data()), file.size()};
    const std::unique_ptr<WebPMux, WebPDeleter> mux(WebPMuxCreate(&whole, 0));
    WebPData data{};
    if (!mux || WebPMuxGetChunk(mux.get(), name, &data) != WEBP_MUX_OK) return {};
    return {reinterpret_cast<const char*>(data.bytes), data.size};
}

int orientation(std::span<const std::byte> file) {
    const std::string exif = chunk_of(file, "EXIF"), xmp = chunk_of(file, "XMP ");
    return orientation_of(std::as_bytes(std::span(exif)), xmp);
}

std::string xml_unescaped(std::string_view text) {
    constexpr std::pair<std::string_view, char> kEntities[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}};
    std::string result;
    while (!text.empty()) {
        char mark = text.front();
        std::size_t length = 1;
        for (const auto& [entity, its] : kEntities)
            if (text.starts_with(entity)) {
                mark = its;
                length = entity.size();
            }
        result += mark;
        text.remove_prefix(length);
    }
    return result;
}

}  // namespace

std::optional<std::string> text_in_webp(std::span<const std::byte> bytes, std::string_view key) {
    constexpr std::string_view kBegin = "<dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">",
                               kEnd = "</rdf:li>";
    const std::string xmp = chunk_of(bytes, "XMP ");
    const auto begin = xmp.find(kBegin);
    const auto end = xmp.find(kEnd, begin);
    if (begin == std::string::npos || end == std::string::npos) return std::nullopt;
    const std::string_view lines = std::string_view(xmp).substr(0, end).substr(begin + kBegin.size());
    auto found = text_in_lines(lines, key);
    if (found) found = xml_unescaped(*found);
    return found;
}

Image decode_webp(std::span<const std::byte> bytes, std::string_view file) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    WebPBitstreamFeatures features{};
    if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK)
        usage_error("{}: broken WebP header", file);
    if (features.has_animation != 0) usage_error("{}: an animated WebP; expected a single picture", file);
    check_image_size(static_cast<std::uint64_t>(features.width), static_cast<std::uint64_t>(features.height),
                     file);
    int width = 0;
    int height = 0;
    const WebPBytes rgba(WebPDecodeRGBA(data, bytes.size(), &width, &height));
    if (!rgba) usage_error("{}: broken or truncated WebP", file);
    check_image_size(static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height), file);
    const std::size_t pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    std::vector<std::uint8_t> rgb;
    rgb.reserve(pixels * 3);
    append_over_white({rgba.get(), pixels * 4}, rgb);
    return upright(Image(width, height, std::move(rgb)), orientation(bytes));
}

std::vector<std::byte> encode_webp(const Image& image, const ImageText& text, std::string_view file) {
    check_sides(image, file);
    std::uint8_t* encoded = nullptr;
    const std::size_t size = WebPEncodeLosslessRGB(image.pixels().data(), image.width(), image.height(),
                                                   image.width() * 3, &encoded);
    const WebPBytes owner(encoded);
    if (size == 0) failure("{}: cannot be encoded as WebP", file);
    return with_text(encoded, size, text, file);
}

std::vector<std::byte> encode_animated_webp(const Video& video, std::string_view file) {
    check_video(video, file);
    const Image& first = video.frames.front();
    check_sides(first, file);
    WebPAnimEncoderOptions options;
    WebPConfig config;
    if (WebPAnimEncoderOptionsInit(&options) == 0 || WebPConfigInit(&config) == 0)
        failure("{}: libwebp could not be set up", file);
    config.lossless = 1;
    const std::unique_ptr<WebPAnimEncoder, WebPDeleter> encoder(
        WebPAnimEncoderNew(first.width(), first.height(), &options));
    // A frame lasts until the next one begins, in whole milliseconds.
    const auto begin_of = [&](std::size_t frame) {
        return static_cast<int>((frame * 2000 / static_cast<std::size_t>(video.fps) + 1) / 2);
    };
    bool done = encoder != nullptr;
    for (std::size_t i = 0; done && i < video.frames.size(); ++i) {
        const Image& frame = video.frames[i];
        WebPPicture picture;
        done = WebPPictureInit(&picture) != 0;
        picture.use_argb = 1;
        picture.width = frame.width();
        picture.height = frame.height();
        done = done && WebPPictureImportRGB(&picture, frame.pixels().data(), 3 * frame.width()) != 0 &&
               WebPAnimEncoderAdd(encoder.get(), &picture, begin_of(i), &config) != 0;
        WebPPictureFree(&picture);
    }
    WebPData whole{};
    done = done && WebPAnimEncoderAdd(encoder.get(), nullptr, begin_of(video.frames.size()), nullptr) != 0 &&
           WebPAnimEncoderAssemble(encoder.get(), &whole) != 0;
    const WebPBytes owner(const_cast<std::uint8_t*>(whole.bytes));
    if (!done) failure("{}: cannot be encoded as WebP", file);
    return with_text(whole.bytes, whole.size, video.text, file);
}

}  // namespace reprise
