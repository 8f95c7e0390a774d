#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

// After <cstdio>, which they need and do not include.
#include <jerror.h>
#include <jpeglib.h>

#include "files/printable.h"
#include "media/image_codec.h"
#include "media/image_orientation.h"
#include "reprise/error.h"

namespace reprise {

namespace {

/// What libjpeg's callbacks share. It reports an error by a long jump, so code that it may jump out of
/// (every `guarded` action and what it calls) owns nothing that needs a destructor.
struct JpegState {
    jpeg_error_mgr errors{};
    jpeg_source_mgr source{};
    jpeg_progress_mgr progress{};
    std::jmp_buf jump{};
    char message[JMSG_LENGTH_MAX] = "";
};

JpegState& state_of(j_common_ptr jpeg) {
    return *static_cast<JpegState*>(jpeg->client_data);
}

void on_error(j_common_ptr jpeg) {
    JpegState& state = state_of(jpeg);
    (*jpeg->err->format_message)(jpeg, state.message);
    std::longjmp(state.jump, 1);
}

[[noreturn]] void stop(j_common_ptr jpeg, const char* message) {
    JpegState& state = state_of(jpeg);
    std::strncpy(state.message, message, sizeof state.message - 1);
    std::longjmp(state.jump, 1);
}

/// Of libjpeg's warnings, the one about pixels that the file does not have is an error here.
void on_message(j_common_ptr jpeg, int level) {
    if (level < 0 && jpeg->err->msg_code == JWRN_HIT_MARKER) on_error(jpeg);
}

void on_source(j_decompress_ptr) {}

boolean on_more(j_decompress_ptr jpeg) {
    stop(reinterpret_cast<j_common_ptr>(jpeg), "the file is truncated");
}

void on_skip(j_decompress_ptr jpeg, long count) {
    if (count <= 0) return;
    jpeg_source_mgr& source = *jpeg->src;
    if (static_cast<std::size_t>(count) > source.bytes_in_buffer)
        stop(reinterpret_cast<j_common_ptr>(jpeg), "the file is truncated");
    source.next_input_byte += count;
    source.bytes_in_buffer -= static_cast<std::size_t>(count);
}

/// Each scan of a progressive picture costs as much as the picture has pixels, however few bytes it has.
void on_progress(j_common_ptr jpeg) {
    constexpr int kMaxScans = 100;
    if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number > kMaxScans)
        stop(jpeg, "more scans than any encoder writes");
}

/// Runs an action that calls libjpeg; false when that reported an error, which is then in the state.
template <class Action>
bool guarded(JpegState& state, const Action& action) {
    if (setjmp(state.jump) != 0) return false;
    action();
    return true;
}

/// A libjpeg reader over bytes that outlive it.
class Jpeg {
  public:
    explicit Jpeg(std::span<const std::byte> bytes) {
        decoder.err = jpeg_std_error(&state.errors);
        state.errors.error_exit = on_error;
        state.errors.emit_message = on_message;
        decoder.client_data = &state;
        if (!guarded(state, [&] { jpeg_create_decompress(&decoder); }))
            failure("libjpeg could not be set up: {}", state.message);
        state.source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
        state.source.bytes_in_buffer = bytes.size();
        state.source.init_source = on_source;
        state.source.fill_input_buffer = on_more;
        state.source.skip_input_data = on_skip;
        state.source.resync_to_restart = jpeg_resync_to_restart;
        state.source.term_source = on_source;
        state.progress.progress_monitor = on_progress;
        decoder.src = &state.source;
        decoder.progress = &state.progress;
    }
    Jpeg(const Jpeg&) = delete;
    Jpeg& operator=(const Jpeg&) = delete;
    ~Jpeg() { jpeg_destroy_decompress(&decoder); }

    JpegState state;
    jpeg_decompress_struct decoder{};
};

/// The data of the first APP1 segment that begins so; empty where there is none.
std::span<const std::byte> segment(const jpeg_decompress_struct& decoder, std::string_view begins) {
    for (auto* marker = decoder.marker_list; marker != nullptr; marker = marker->next) {
        const auto data = std::as_bytes(std::span(marker->data, marker->data_length));
        if (marker->marker == JPEG_APP0 + 1 && data.size() >= begins.size() &&
            std::memcmp(data.data(), begins.data(), begins.size()) == 0)
            return data;
    }
    return {};
}

int orientation(const jpeg_decompress_struct& decoder) {
    using namespace std::string_view_literals;
    const auto xmp = segment(decoder, "http://ns.adobe.com/xap/1.0/\0"sv);
    return orientation_of(segment(decoder, "Exif\0\0"sv),
                          {reinterpret_cast<const char*>(xmp.data()), xmp.size()});
}

/// Appends the light that inks leave. Adobe's programs store how little ink there is.
void append_cmyk(std::span<const std::uint8_t> cmyk, bool inverted, std::vector<std::uint8_t>& rgb) {
    for (std::size_t i = 0; i + 3 < cmyk.size(); i += 4) {
        const auto ink = [&](std::size_t channel) {
            return inverted ? 255U - cmyk[i + channel] : unsigned{cmyk[i + channel]};
        };
        const unsigned white = 255 - ink(3);
        for (std::size_t channel = 0; channel < 3; ++channel)
            rgb.push_back(static_cast<std::uint8_t>(white - (ink(channel) * white + 127) / 255));
    }
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, std::string_view file) {
    Jpeg reader(bytes);
    jpeg_decompress_struct& decoder = reader.decoder;
    const auto read = [&](const auto& action) {
        if (!guarded(reader.state, action))
            usage_error("{}: broken JPEG: {}", file, printable(reader.state.message));
    };
    read([&] {
        constexpr unsigned kMaxMarker = 0xffff;
        jpeg_save_markers(&decoder, JPEG_APP0 + 1, kMaxMarker);
        jpeg_read_header(&decoder, TRUE);
    });
    check_image_size(decoder.image_width, decoder.image_height, file);
    read([&] {
        const bool inks = decoder.jpeg_color_space == JCS_CMYK || decoder.jpeg_color_space == JCS_YCCK;
        decoder.out_color_space = inks ? JCS_CMYK : JCS_RGB;
        jpeg_start_decompress(&decoder);
    });

    // Memory is touched as rows arrive, so that a small file cannot claim much.
    const bool inks = decoder.out_color_space == JCS_CMYK;
    const std::size_t width = decoder.output_width;
    const std::size_t height = decoder.output_height;
    std::vector<std::uint8_t> row(width * (inks ? 4 : 3));
    std::vector<std::uint8_t> rgb;
    rgb.reserve(width * height * 3);
    for (std::size_t y = 0; y < height; ++y) {
        JSAMPROW line = row.data();
        read([&] { jpeg_read_scanlines(&decoder, &line, 1); });
        if (inks)
            append_cmyk(row, decoder.saw_Adobe_marker != 0, rgb);
        else
            rgb.insert(rgb.end(), row.begin(), row.end());
    }
    return upright(Image(static_cast<int>(width), static_cast<int>(height), std::move(rgb)),
                   orientation(decoder));
}

}  // namespace reprise
