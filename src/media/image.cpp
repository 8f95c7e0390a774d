#include "reprise/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "files/atomic_file.h"
#include "files/mapped_file.h"
#include "media/image_codec.h"
#include "reprise/error.h"

namespace reprise {

namespace {

std::size_t checked_bytes(int width, int height) {
    if (width < 1 || height < 1 || width > Image::kMaxSide || height > Image::kMaxSide ||
        std::int64_t{width} * height > Image::kMaxPixels)
        failure("a picture of {}x{} pixels; sides must be 1 to {} and pixels at most {}", width, height,
                Image::kMaxSide, Image::kMaxPixels);
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3;
}

}  // namespace

Image::Image(int width, int height) : width_(width), height_(height), pixels_(checked_bytes(width, height)) {}

Image::Image(int width, int height, std::vector<std::uint8_t> pixels)
    : width_(width), height_(height), pixels_(std::move(pixels)) {
    if (pixels_.size() != checked_bytes(width, height))
        failure("{} values for a picture of {}x{} pixels, expected {}", pixels_.size(), width, height,
                checked_bytes(width, height));
}

Image Image::from_chw(const Tensor& tensor) {
    if (tensor.type() != DType::f32 || tensor.rank() != 3 || tensor.dim(0) != 3 || tensor.dim(1) > kMaxSide ||
        tensor.dim(2) > kMaxSide)
        failure("a picture from a tensor of {} {}, expected f32 (3, height, width)", name_of(tensor.type()),
                to_string(tensor.shape()));
    Image image(static_cast<int>(tensor.dim(2)), static_cast<int>(tensor.dim(1)));
    const auto values = tensor.span<float>();
    const std::size_t plane = values.size() / 3;
    for (std::size_t i = 0; i < plane; ++i) {
        for (std::size_t channel = 0; channel < 3; ++channel) {
            const float unit = values[channel * plane + i] * 0.5F + 0.5F;
            // The comparison is false for NaN, which becomes 0.
            const float cut = unit > 0.0F ? std::min(unit, 1.0F) : 0.0F;
            image.pixels_[i * 3 + channel] = static_cast<std::uint8_t>(std::nearbyint(cut * 255.0F));
        }
    }
    return image;
}

Image Image::load(const std::filesystem::path& path) {
    const MappedFile file(path);
    return decode_image(file.bytes(), path.string());
}

void Image::save(const std::filesystem::path& path, const ImageText& text) const {
    if (empty()) failure("{}: an empty picture cannot be saved", path.string());
    std::string extension = path.extension().string();
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (extension != ".png" && extension != ".webp")
        usage_error("{}: pictures are saved as .png or .webp, not as \"{}\"", path.string(), extension);
    const bool png = extension == ".png";
    AtomicFile file(path);
    file.write(png ? encode_png(*this, text, path.string()) : encode_webp(*this, text, path.string()));
    file.commit();
}

Image montage(std::span<const Image> images, const MontageOptions& options) {
    if (images.empty() || options.columns < 0 || options.gap < 0 || options.gap > Image::kMaxSide)
        failure("a contact sheet of {} pictures in {} columns with a gap of {}", images.size(),
                options.columns, options.gap);
    const std::size_t columns = options.columns == 0
                                    ? images.size()
                                    : std::min(images.size(), static_cast<std::size_t>(options.columns));
    const std::size_t rows = (images.size() + columns - 1) / columns;
    int cell_width = 0;
    int cell_height = 0;
    for (const auto& image : images) {
        cell_width = std::max(cell_width, image.width());
        cell_height = std::max(cell_height, image.height());
    }
    const auto side = [&](std::size_t cells, int cell) {
        const auto length = static_cast<std::int64_t>(cells) * (cell + options.gap) - options.gap;
        return static_cast<int>(std::min<std::int64_t>(length, Image::kMaxSide + 1));
    };
    Image sheet(side(columns, cell_width), side(rows, cell_height));
    std::fill(sheet.pixels().begin(), sheet.pixels().end(), std::uint8_t{255});
    for (std::size_t i = 0; i < images.size(); ++i) {
        const Image& image = images[i];
        if (image.empty()) continue;
        const int left =
            static_cast<int>(i % columns) * (cell_width + options.gap) + (cell_width - image.width()) / 2;
        const int top =
            static_cast<int>(i / columns) * (cell_height + options.gap) + (cell_height - image.height()) / 2;
        for (int y = 0; y < image.height(); ++y)
            std::memcpy(sheet.at(left, top + y).data(), image.at(0, y).data(),
                        static_cast<std::size_t>(image.width()) * 3);
    }
    return sheet;
}

}  // namespace reprise
