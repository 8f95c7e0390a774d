#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <memory>

#include "io/image_codec.h"
#include "reprise/error.h"

namespace reprise {

namespace {

struct WebPDeleter {
    void operator()(std::uint8_t* data) const { WebPFree(data); }
    void operator()(WebPMux* mux) const { WebPMuxDelete(mux); }
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
    for (const auto& [key, value] : text) lines += key + ": " + value + "\n";
    return "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
           "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
           "<rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">"
           "<dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">" +
           xml_escaped(lines) +
           "</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>";
}

}  // namespace

DecodedImage decode_webp(std::span<const std::byte> bytes, std::string_view file) {
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
    return {Image(width, height, std::move(rgb)), {}};
}

std::vector<std::byte> encode_webp(const Image& image, const ImageText& text, std::string_view file) {
    if (image.width() > WEBP_MAX_DIMENSION || image.height() > WEBP_MAX_DIMENSION)
        usage_error("{}: WebP pictures have at most {} pixels a side, this one is {}x{}; save it as .png",
                    file, WEBP_MAX_DIMENSION, image.width(), image.height());
    std::uint8_t* encoded = nullptr;
    const std::size_t size = WebPEncodeLosslessRGB(image.pixels().data(), image.width(), image.height(),
                                                   image.width() * 3, &encoded);
    const WebPBytes owner(encoded);
    if (size == 0) failure("{}: cannot be encoded as WebP", file);
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

}  // namespace reprise
