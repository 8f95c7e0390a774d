#include "pipelines/picture_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "backends/working_memory.h"
#include "reprise/error.h"

namespace reprise::pipelines {

PictureDecoder::PictureDecoder(const std::shared_ptr<const ModelSource>& source, Engine engine)
    : config_(models::AutoencoderKLConfig::from(source->config("vae"))),
      decoder_(source, "vae", std::move(engine), {.does = "decoding", .again_in_f32 = true}) {
    if (config_.out_channels != 3)
        usage_error("{}: \"out_channels\" is {}; Reprise makes pictures of 3 channels",
                    source->config("vae").file, config_.out_channels);
    if (source->class_name() == "StableDiffusion3Pipeline" && !config_.shift_factor)  // which adds it
        usage_error("{}: \"shift_factor\" is {}, expected a number", source->config("vae").file,
                    source->config("vae").is_null("shift_factor") ? "null" : "missing");
}

Tensor PictureDecoder::unscaled(const Tensor& latents) const {
    Tensor result = latents.to(DType::f32).clone();
    const auto plane = static_cast<std::size_t>(latents.dim(2) * latents.dim(3));
    const auto values = result.span<float>();
    for (std::size_t c = 0; c < static_cast<std::size_t>(latents.dim(1)); ++c) {
        float scale = 1 / config_.scaling_factor;
        float shift = config_.shift_factor.value_or(0);
        if (config_.latents_mean && config_.latents_std) {
            scale *= config_.latents_std->at(c);
            shift = config_.latents_mean->at(c);
        }
        for (float& value : values.subspan(c * plane, plane)) value = value * scale + shift;
    }
    return result;
}

Tensor PictureDecoder::run(const Tensor& latents, const Caller& caller) const {
    return decoder_({to_string(latents.shape()),
                     [&](DType precision, const WeightSource& weights) {
                         return models::build_autoencoder_kl_decoder(
                             config_, {latents.dim(0), latents.dim(2), latents.dim(3)}, precision, &weights);
                     }},
                    {latents}, caller)
        .front();
}

Tensor PictureDecoder::decode(const Tensor& latents, const Caller& caller) const {
    const auto structure = models::build_autoencoder_kl_decoder(config_, {1, latents.dim(2), latents.dim(3)},
                                                                decoder_.precision(), nullptr);
    const double needed = backends::working_bytes(structure);
    const auto available = backends::Store::of_process().available(needed);
    if (available && needed > *available) {
        caller.warn(fmt::format(
            "decoding {}x{} at once needs about {:.1f} GB, {:.1f} GB are free: decoding in tiles, which "
            "changes the picture slightly",
            latents.dim(3) * config_.scale(), latents.dim(2) * config_.scale(), needed / 1e9,
            *available / 1e9));
        return decode_tiled(latents, caller);
    }
    return run(unscaled(latents), caller);
}

namespace {

struct Tile {
    Tensor pixels;  ///< (1, 3, h, w)
    std::int64_t height() const { return pixels.dim(2); }
    std::int64_t width() const { return pixels.dim(3); }
    float& at(std::int64_t c, std::int64_t y, std::int64_t x) {
        return pixels.span<float>()[static_cast<std::size_t>((c * height() + y) * width() + x)];
    }
};

/// Fades from the rows at the end of `above` into the first rows of `tile`; `across` does it for columns.
void blend(Tile& above, Tile& tile, std::int64_t extent, bool across) {
    extent =
        std::min({across ? above.width() : above.height(), across ? tile.width() : tile.height(), extent});
    const std::int64_t lines =
        across ? std::min(above.height(), tile.height()) : std::min(above.width(), tile.width());
    for (std::int64_t i = 0; i < extent; ++i) {
        const float weight = static_cast<float>(i) / static_cast<float>(extent);
        for (std::int64_t c = 0; c < 3; ++c)
            for (std::int64_t line = 0; line < lines; ++line) {
                const float before = across ? above.at(c, line, above.width() - extent + i)
                                            : above.at(c, above.height() - extent + i, line);
                float& value = across ? tile.at(c, line, i) : tile.at(c, i, line);
                value = before * (1 - weight) + value * weight;
            }
    }
}

Tensor cropped(const Tensor& latents, std::int64_t y, std::int64_t x, std::int64_t size) {
    const std::int64_t height = std::min(size, latents.dim(2) - y);
    const std::int64_t width = std::min(size, latents.dim(3) - x);
    Tensor result(DType::f32, {1, latents.dim(1), height, width});
    auto out = result.span<float>().begin();
    for (std::int64_t c = 0; c < latents.dim(1); ++c)
        for (std::int64_t row = y; row < y + height; ++row) {
            const auto begin = static_cast<std::size_t>((c * latents.dim(2) + row) * latents.dim(3) + x);
            const auto line = latents.span<float>().subspan(begin, static_cast<std::size_t>(width));
            out = std::copy(line.begin(), line.end(), out);
        }
    return result;
}

}  // namespace

Tensor PictureDecoder::decode_tiled(const Tensor& latents, const Caller& caller) const {
    // diffusers: tiles of the size that the model was trained for, a quarter of it overlapping
    const Tensor source = unscaled(latents);
    const std::int64_t tile_pixels = config_.sample_height;
    const std::int64_t tile_latents = std::max<std::int64_t>(1, tile_pixels / config_.scale());
    const std::int64_t step = std::max<std::int64_t>(1, tile_latents * 3 / 4);
    const std::int64_t extent = tile_pixels / 4;
    const std::int64_t limit = tile_pixels - extent;
    std::vector<std::vector<Tile>> rows;
    for (std::int64_t y = 0; y < source.dim(2); y += step) {
        auto& row = rows.emplace_back();
        for (std::int64_t x = 0; x < source.dim(3); x += step)
            row.push_back({run(cropped(source, y, x, tile_latents), caller)});
    }
    Tensor picture(DType::f32, {1, 3, source.dim(2) * config_.scale(), source.dim(3) * config_.scale()});
    Tile whole{picture};
    std::int64_t top = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::int64_t left = 0;
        for (std::size_t j = 0; j < rows[i].size(); ++j) {
            Tile& tile = rows[i][j];
            if (i > 0) blend(rows[i - 1][j], tile, extent, false);
            if (j > 0) blend(rows[i][j - 1], tile, extent, true);
            const std::int64_t height = std::min({tile.height(), limit, whole.height() - top});
            const std::int64_t width = std::min({tile.width(), limit, whole.width() - left});
            for (std::int64_t c = 0; c < 3; ++c)
                for (std::int64_t y = 0; y < height; ++y)
                    for (std::int64_t x = 0; x < width; ++x)
                        whole.at(c, top + y, left + x) = tile.at(c, y, x);
            left += width;
        }
        top += std::min(rows[i][0].height(), limit);
    }
    return picture;
}

Image PictureDecoder::operator()(const Tensor& latents, const Caller& caller) const {
    const Tensor picture = decode(latents, caller);
    return Image::from_chw(picture.reshaped({3, picture.dim(2), picture.dim(3)}));
}

}  // namespace reprise::pipelines
