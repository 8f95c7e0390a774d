#include "pipelines/image_conditioner.h"

#include <algorithm>

#include "io/image_resize.h"
#include "models/registry.h"
#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

/// What diffusers' pipeline resizes to, whatever the encoder's configuration.
constexpr int kClipSide = 224;

/// The folder of a component that must be of a class that has this role.
std::filesystem::path path_of(const ModelFolder& folder, std::string_view name, models::Role role) {
    models::model_class(folder.component(name).class_name, role, folder.path().string());
    return folder.path(name);
}

std::vector<float> channel_values(const Config& config, std::string_view key,
                                  const std::vector<float>& otherwise) {
    auto values = config.get_or(key, otherwise);
    if (values.size() != otherwise.size())
        usage_error("{}: \"{}\" has {} entries, expected {}", config.file, key, values.size(),
                    otherwise.size());
    return values;
}

}  // namespace

ImageConditioner::ImageConditioner(const ModelFolder& folder, const Engine& engine,
                                   const LoadOptions& options)
    : engine_(engine),
      vae_engine_(engine),
      variant_(options.variant),
      keep_parameters_below_(options.keep_parameters_below),
      clip_path_(path_of(folder, "image_encoder", models::Role::image_encoder)),
      vae_path_(path_of(folder, "vae", models::Role::video_autoencoder)),
      clip_(models::ClipVisionConfig::from(folder.config("image_encoder"))),
      vae_(models::AutoencoderKLTemporalDecoderConfig::from(folder.config("vae"))) {
    // As diffusers: an autoencoder that overflows in f16 decodes in it all the same, but does not encode.
    const bool overflows = options.vae_precision == DType::f16 && vae_.pictures.force_upcast;
    vae_engine_.options.precision = overflows ? DType::f32 : options.vae_precision;
    if (clip_.image_size != kClipSide || clip_.num_channels != 3)
        usage_error(
            "{}: the image encoder takes {} channels of {}x{} pixels; the pipeline gives it 3 of {}x{}",
            clip_path_.string(), clip_.num_channels, clip_.image_size, clip_.image_size, kClipSide,
            kClipSide);
    if (vae_.pictures.in_channels != 3 || vae_.pictures.out_channels != 3)
        usage_error("{}: its pictures have {} channels, its frames {}; Reprise takes and makes 3",
                    vae_path_.string(), vae_.pictures.in_channels, vae_.pictures.out_channels);
    const Config extractor = folder.config("feature_extractor");
    mean_ = channel_values(extractor, "image_mean", {0.48145466F, 0.4578275F, 0.40821073F});
    deviation_ = channel_values(extractor, "image_std", {0.26862954F, 0.26130258F, 0.27577711F});
    if (std::any_of(deviation_.begin(), deviation_.end(), [](float value) { return !(value > 0); }))
        usage_error("{}: \"image_std\" has an entry that is not positive", extractor.file);
}

ImageConditioner::Compiled ImageConditioner::compile(const graph::Graph& graph, const Engine& engine) const {
    return {std::make_unique<CompiledGraph>(graph, engine), graph::parameter_count(graph, 0),
            graph[graph.inputs.front()].shape};
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

Tensor ImageConditioner::embed(const Image& image) {
    const Tensor small = resize_antialiased(to_chw(image), {kClipSide, kClipSide});
    if (!clip_compiled_.run) {
        const DType precision = engine_.options.precision;
        const auto weights = open_weights(clip_path_, variant_, precision);
        clip_compiled_ = compile(models::build_clip_vision(clip_, 1, precision, weights.get()), engine_);
        weights->release_pages();
    }
    return (*clip_compiled_.run)({normalized(small)}).front().reshaped({1, 1, width()});
}

Tensor ImageConditioner::latents(const Tensor& picture) {
    if (!vae_compiled_.run || vae_compiled_.input != picture.shape()) {
        const DType precision = vae_engine_.options.precision;
        const auto weights = open_weights(vae_path_, variant_, precision);
        const models::PictureShape shape = {picture.dim(0), picture.dim(2), picture.dim(3)};
        vae_compiled_ =
            compile(models::build_autoencoder_kl_encoder(vae_.pictures, shape, precision, weights.get()),
                    vae_engine_);
        weights->release_pages();
    }
    const Tensor moments = (*vae_compiled_.run)({picture}).front();
    Shape shape = moments.shape();
    shape[1] = vae_.pictures.latent_channels;
    Tensor mode(DType::f32, shape);  // of one picture: the means lie first
    std::copy_n(moments.span<float>().begin(), mode.count(), mode.span<float>().begin());
    return mode;
}

void ImageConditioner::release_large() {
    for (Compiled* compiled : {&clip_compiled_, &vae_compiled_})
        if (compiled->parameters > keep_parameters_below_) *compiled = {};
}

}  // namespace reprise::pipelines
