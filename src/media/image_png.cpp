#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "files/printable.h"
#include "media/image_codec.h"
#include "media/image_orientation.h"
#include "media/image_text.h"
#include "reprise/error.h"

namespace reprise {

namespace {

/// What libpng's callbacks share. libpng reports an error by a long jump, so code that it may jump out of
/// (every `guarded` action and what it calls) owns nothing that needs a destructor.
struct PngState {
    std::span<const std::byte> input;
    std::vector<std::byte> output;
    char message[128] = "";
};

void on_error(png_structp png, png_const_charp message) {
    auto& state = *static_cast<PngState*>(png_get_error_ptr(png));
    std::strncpy(state.message, message, sizeof state.message - 1);
    png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep target, std::size_t size) {
    auto& state = *static_cast<PngState*>(png_get_io_ptr(png));
    if (size > state.input.size()) png_error(png, "the file is truncated");
    std::memcpy(target, state.input.data(), size);
    state.input = state.input.subspan(size);
}

void on_write(png_structp png, png_bytep source, std::size_t size) {
    auto& output = static_cast<PngState*>(png_get_io_ptr(png))->output;
    bool done = true;
    try {
        const auto* bytes = reinterpret_cast<const std::byte*>(source);
        output.insert(output.end(), bytes, bytes + size);
    } catch (...) {
        done = false;
    }
    if (!done) png_error(png, "out of memory");
}

void on_flush(png_structp) {}

/// What libpng asks for is bounded; it takes null for an answer. A good file needs no more than some rows.
constexpr png_alloc_size_t kMaxAllocation = 4 << 20;

png_voidp on_allocate(png_structp, png_alloc_size_t size) {
    return size > kMaxAllocation ? nullptr : std::malloc(size);
}

void on_free(png_structp, png_voidp memory) {
    std::free(memory);
}

/// Runs an action that calls libpng; false when libpng reported an error, which is then in its PngState.
template <class Action>
bool guarded(png_structp png, const Action& action) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    action();
    return true;
}

/// A libpng reader or writer with its info.
class Png {
  public:
    enum class Use { read, write };

    explicit Png(Use use) : use_(use) {
        png_ = use == Use::read
                   ? png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning, nullptr,
                                              on_allocate, on_free)
                   : png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
        if (png_ != nullptr) info_ = png_create_info_struct(png_);
        if (info_ == nullptr) {
            destroy();
            failure("libpng could not be set up");
        }
    }
    Png(const Png&) = delete;
    Png& operator=(const Png&) = delete;
    ~Png() { destroy(); }

    png_structp png() const { return png_; }
    png_infop info() const { return info_; }

    PngState state;

  private:
    void destroy() {
        if (use_ == Use::read)
            png_destroy_read_struct(&png_, &info_, nullptr);
        else
            png_destroy_write_struct(&png_, &info_);
    }

    Use use_;
    png_structp png_ = nullptr;
    png_infop info_ = nullptr;
};

[[noreturn]] void broken(const Png& reader, std::string_view file) {
    usage_error("{}: broken PNG: {}", file, printable(reader.state.message));
}

/// Calls `see` with the type and the content of each chunk, until it returns false or the file ends.
template <class See>
void for_each_chunk(std::span<const std::byte> file, const See& see) {
    constexpr std::size_t kSignature = 8, kAround = 12;  // a chunk's length, type and checksum
    if (file.size() < kSignature) return;
    for (file = file.subspan(kSignature); file.size() >= kAround;) {
        std::size_t length = 0;
        for (std::size_t i = 0; i < 4; ++i) length = length << 8 | std::to_integer<std::size_t>(file[i]);
        if (length > file.size() - kAround) return;
        const std::string_view type(reinterpret_cast<const char*>(file.data()) + 4, 4);
        if (!see(type, file.subspan(8, length))) return;
        file = file.subspan(kAround + length);
    }
}

std::string_view as_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// How the picture lies, by the chunks that libpng leaves out here.
int orientation(std::span<const std::byte> file) {
    using namespace std::string_view_literals;
    constexpr std::string_view kXmp = "XML:com.adobe.xmp\0\0\0"sv;
    std::span<const std::byte> exif;
    std::string_view xmp;
    for_each_chunk(file, [&](std::string_view type, std::span<const std::byte> content) {
        if (type == "eXIf" && exif.empty()) exif = content;
        if (type == "iTXt" && xmp.empty() && as_text(content).starts_with(kXmp)) xmp = as_text(content);
        return true;
    });
    return orientation_of(exif, xmp);
}

/// Keys of PNG texts: Latin-1 without spaces at the ends or doubled; held to ASCII here.
void check_key(std::string_view key, std::string_view file) {
    const bool printable_ascii =
        std::all_of(key.begin(), key.end(), [](char c) { return c >= 32 && c <= 126; });
    if (key.empty() || key.size() > 79 || !printable_ascii || key.front() == ' ' || key.back() == ' ' ||
        key.find("  ") != std::string_view::npos)
        failure("{}: \"{}\" cannot be the key of a PNG text", file, printable(key));
}

}  // namespace

std::optional<std::string> text_in_png(std::span<const std::byte> bytes, std::string_view key) {
    std::optional<std::string> found;
    const std::string start = std::string(key) + '\0';
    for_each_chunk(bytes, [&](std::string_view type, std::span<const std::byte> content) {
        std::string_view text = as_text(content);
        if (!text.starts_with(start)) return true;
        text.remove_prefix(start.size());
        if (type == "tEXt") found = text;
        if (type == "iTXt" && text.size() >= 2 &&
            text[0] == 0) {  // not compressed; language and translated key
            text.remove_prefix(2);
            for (int part = 0; part < 2; ++part)
                text.remove_prefix(std::min(text.size(), text.find('\0')) +
                                   (text.find('\0') < text.size() ? 1 : 0));
            found = text;
        }
        return !found;
    });
    return found;
}

Image decode_png(std::span<const std::byte> bytes, std::string_view file) {
    Png reader(Png::Use::read);
    reader.state.input = bytes;
    const png_structp png = reader.png();
    const png_infop info = reader.info();
    const bool has_header = guarded(png, [&] {
        png_set_read_fn(png, &reader.state, on_read);
        png_set_user_limits(png, Image::kMaxSide, Image::kMaxSide);
        // Texts, colour profiles and the like are passed over, whatever their size: no pixel depends on them.
        png_set_chunk_malloc_max(png, 0);
        png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
        png_read_info(png, info);
        png_set_expand(png);
        png_set_scale_16(png);
        png_set_gray_to_rgb(png);
        png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
        png_set_interlace_handling(png);
        png_read_update_info(png, info);
    });
    if (!has_header) broken(reader, file);
    const std::size_t width = png_get_image_width(png, info);
    const std::size_t height = png_get_image_height(png, info);
    check_image_size(width, height, file);
    if (png_get_rowbytes(png, info) != width * 4)
        failure("{}: libpng gave pixels of another kind than RGBA", file);

    // Memory is touched as rows arrive, so that a small file cannot claim much; interlaced pictures, whose
    // rows come in several passes, need all of it at once.
    const bool interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
    std::vector<std::uint8_t> rgba(width * 4 * (interlaced ? height : 1));
    std::vector<std::uint8_t> rgb;
    rgb.reserve(width * height * 3);
    if (interlaced) {
        std::vector<png_bytep> rows(height);
        for (std::size_t y = 0; y < height; ++y) rows[y] = rgba.data() + y * width * 4;
        if (!guarded(png, [&] { png_read_image(png, rows.data()); })) broken(reader, file);
        append_over_white(rgba, rgb);
    } else {
        for (std::size_t y = 0; y < height; ++y) {
            if (!guarded(png, [&] { png_read_row(png, rgba.data(), nullptr); })) broken(reader, file);
            append_over_white(rgba, rgb);
        }
    }
    if (!guarded(png, [&] { png_read_end(png, info); })) broken(reader, file);
    return upright(Image(static_cast<int>(width), static_cast<int>(height), std::move(rgb)),
                   orientation(bytes));
}

std::vector<std::byte> encode_png(const Image& image, const ImageText& text, std::string_view file) {
    std::vector<png_text> texts;
    for (const auto& [key, value] : text) {
        check_key(key, file);
        const bool ascii =
            std::all_of(value.begin(), value.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
        png_text entry{};
        entry.compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
        entry.key = const_cast<png_charp>(key.c_str());
        entry.text = const_cast<png_charp>(value.c_str());
        (ascii ? entry.text_length : entry.itxt_length) = std::strlen(value.c_str());
        texts.push_back(entry);
    }
    Png writer(Png::Use::write);
    const png_structp png = writer.png();
    const png_infop info = writer.info();
    const std::uint8_t* pixels = image.pixels().data();
    const bool done = guarded(png, [&] {
        png_set_write_fn(png, &writer.state, on_write, on_flush);
        png_set_IHDR(png, info, static_cast<png_uint_32>(image.width()),
                     static_cast<png_uint_32>(image.height()), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        if (!texts.empty()) png_set_text(png, info, texts.data(), static_cast<int>(texts.size()));
        png_write_info(png, info);
        for (std::size_t y = 0; y < static_cast<std::size_t>(image.height()); ++y)
            png_write_row(png, pixels + y * static_cast<std::size_t>(image.width()) * 3);
        png_write_end(png, nullptr);
    });
    if (!done) failure("{}: cannot be encoded as PNG: {}", file, writer.state.message);
    return std::move(writer.state.output);
}

}  // namespace reprise
