#include "pipelines/image_conditioner.h"

#include <algorithm>

#include "media/image_resize.h"
#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

/// What diffusers' pipeline resizes to, whatever the encoder's configuration.
constexpr int kClipSide = 224;

std::vector<float> channel_values(const Config& config, std::string_view key,
                                  const std::vector<float>& otherwise) {
    auto values = config.get_or(key, otherwise);
    if (values.size() != otherwise.size())
        usage_error("{}: \"{}\" has {} entries, expected {}", config.file, key, values.size(),
                    otherwise.size());
    return values;
}

/// As diffusers: an autoencoder that overflows in f16 decodes in it all the same, but does not encode.
Engine without_overflow(Engine engine, bool overflows) {
    if (overflows && engine.options.precision == DType::f16) engine.options.precision = DType::f32;
    return engine;
}

}  // namespace

ImageConditioner::ImageConditioner(const std::shared_ptr<const ModelSource>& source, const Engine& engine,
                                   Engine vae_engine, const LoadOptions& options)
    : clip_(models::ClipVisionConfig::from(source->config("image_encoder"))),
      vae_(models::AutoencoderKLTemporalDecoderConfig::from(source->config("vae"))),
      embed_(source, "image_encoder", engine, {.memory_limit = options.memory_limit}),
      encode_(source, "vae", without_overflow(std::move(vae_engine), vae_.pictures.force_upcast),
              {.does = "encoding the picture", .again_in_f32 = true, .memory_limit = options.memory_limit}) {
    if (clip_.image_size != kClipSide || clip_.num_channels != 3)
        usage_error(
            "{}: the image encoder takes {} channels of {}x{} pixels; the pipeline gives it 3 of {}x{}",
            embed_.where(), clip_.num_channels, clip_.image_size, clip_.image_size, kClipSide, kClipSide);
    if (vae_.pictures.in_channels != 3 || vae_.pictures.out_channels != 3)
        usage_error("{}: \"in_channels\" is {} and \"out_channels\" {}; Reprise takes and makes 3",
                    source->config("vae").file, vae_.pictures.in_channels, vae_.pictures.out_channels);
    const Config extractor = source->config("feature_extractor");
    mean_ = channel_values(extractor, "image_mean", {0.48145466F, 0.4578275F, 0.40821073F});
    deviation_ = channel_values(extractor, "image_std", {0.26862954F, 0.26130258F, 0.27577711F});
    if (std::any_of(deviation_.begin(), deviation_.end(), [](float value) { return !(value > 0); }))
        usage_error("{}: \"image_std\" has an entry that is not positive", extractor.file);
}

Tensor ImageConditioner::normalized(const Tensor& picture) const {
    Tensor result(DType::f32, {1, 3, picture.dim(1), picture.dim(2)});
    const auto plane = static_cast<std::size_t>(picture.dim(1) * picture.dim(2));
    for (std::size_t i = 0; i < 3 * plane; ++i) {
        const float unit = (picture.span<float>()[i] + 1) / 2;
        result.span<float>()[i] = (unit - mean_[i / plane]) / deviation_[i / plane];
    }
    return result;
}

Tensor ImageConditioner::embed(const Image& image, const Caller& caller) const {
    const Tensor small = normalized(resize_antialiased(to_chw(image), {kClipSide, kClipSide}));
    const Tensor embedding = embed_({"",
                                     [&](DType precision, const WeightSource& weights) {
                                         return models::build_clip_vision(clip_, 1, precision, &weights);
                                     }},
                                    {small}, caller)
                                 .front();
    return embedding.reshaped({1, 1, width()});
}

Tensor ImageConditioner::latents(const Tensor& picture, const Caller& caller) const {
    const Tensor moments = encode_({to_string(picture.shape()),
                                    [&](DType precision, const WeightSource& weights) {
                                        return models::build_autoencoder_kl_encoder(
                                            vae_.pictures, {picture.dim(0), picture.dim(2), picture.dim(3)},
                                            precision, &weights);
                                    }},
                                   {picture}, caller)
                               .front();
    Shape shape = moments.shape();
    shape[1] = vae_.pictures.latent_channels;
    Tensor mode(DType::f32, shape);  // of one picture: the means lie first
    std::copy_n(moments.span<float>().begin(), mode.count(), mode.span<float>().begin());
    return mode;
}

void ImageConditioner::release_large() const {
    embed_.release_large();
    encode_.release_large();
}

}  // namespace reprise::pipelines
