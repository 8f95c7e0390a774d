#include "pipelines/video_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "backends/working_memory.h"

namespace reprise::pipelines {

namespace {

models::VideoShape one_video(const Shape& latents, std::int64_t frames) {
    return {1, frames, latents[2], latents[3]};
}

}  // namespace

VideoDecoder::VideoDecoder(const std::shared_ptr<const ModelSource>& source, Engine engine)
    : config_(models::AutoencoderKLTemporalDecoderConfig::from(source->config("vae"))),
      decoder_(source, "vae", std::move(engine), {.does = "decoding", .again_in_f32 = true}) {}

std::int64_t VideoDecoder::largest_chunk(const Shape& latents, std::optional<double> available) const {
    const std::int64_t frames = latents[0];
    for (std::int64_t parts = 1; parts < frames; ++parts) {
        const std::int64_t chunk = (frames + parts - 1) / parts;
        const auto structure =
            models::build_temporal_decoder(config_, one_video(latents, chunk), decoder_.precision(), nullptr);
        if (!available || backends::working_bytes(structure) <= *available) return chunk;
    }
    return 1;
}

std::vector<Image> VideoDecoder::operator()(const Tensor& latents, int chunk, const Caller& caller) const {
    const std::int64_t frames = latents.dim(0);
    const auto needed = [&] {
        return backends::working_bytes(models::build_temporal_decoder(
            config_, one_video(latents.shape(), frames), decoder_.precision(), nullptr));
    };
    std::int64_t at_once =
        chunk > 0 ? chunk : largest_chunk(latents.shape(), backends::Store::of_process().available(needed()));
    if (chunk <= 0 && at_once < frames)
        caller.warn(fmt::format(
            "decoding {} frames at once needs more memory than is free: decoding {} at once, which changes "
            "the frames slightly",
            frames, at_once));
    Tensor unscaled = latents.to(DType::f32).clone();
    for (float& value : unscaled.span<float>()) value *= 1 / config_.pictures.scaling_factor;
    std::vector<Image> images;
    for (std::int64_t begin = 0; begin < frames; begin += at_once) {
        const Tensor part = unscaled.rows(begin, std::min(frames, begin + at_once)).clone();
        const Tensor pixels =
            decoder_({to_string(part.shape()),
                      [&](DType precision, const WeightSource& weights) {
                          return models::build_temporal_decoder(config_, one_video(part.shape(), part.dim(0)),
                                                                precision, &weights);
                      }},
                     {part}, caller)
                .front();
        for (std::int64_t i = 0; i < pixels.dim(0); ++i)
            images.push_back(Image::from_chw(
                pixels.rows(i, i + 1).reshaped({pixels.dim(1), pixels.dim(2), pixels.dim(3)})));
    }
    return images;
}

}  // namespace reprise::pipelines
