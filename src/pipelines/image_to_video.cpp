#include "pipelines/image_to_video.h"

#include <algorithm>

#include "media/image_resize.h"
#include "reprise/error.h"
#include "schedulers/numeric.h"

namespace reprise::pipelines {

ImageToVideo::ImageToVideo(PipelineParts parts)
    : DiffusionPipeline(std::move(parts)),
      conditioner_(source(), engine(), vae_engine(), load_options()),
      decoder_(source(), vae_engine()) {
    const models::DenoiserTraits traits = denoiser().model().traits();
    const auto latent_channels = conditioner_.vae().pictures.latent_channels;
    const std::string where = source()->description();
    if (traits.frames == 0) usage_error("{}: its denoiser does not make videos", where);
    if (traits.in_channels != latent_channels || traits.out_channels != latent_channels ||
        traits.image_channels != latent_channels)
        usage_error(
            "{}: its denoiser takes {} channels beside {} of a picture and gives {}, its autoencoder has {}",
            where, traits.in_channels, traits.image_channels, traits.out_channels, latent_channels);
    if (traits.text_width != conditioner_.width())
        usage_error("{}: its denoiser expects an embedding of width {}, its image encoder gives {}", where,
                    traits.text_width, conditioner_.width());
    if (traits.time_ids != 3)
        usage_error(
            "{}: its denoiser takes {} added ids; expected 3: frame rate, motion bucket, noise augmentation",
            where, traits.time_ids);
}

ImageToVideo::Size ImageToVideo::frame_size(const GenerateOptions& options) const {
    const models::DenoiserTraits traits = denoiser().model().traits();
    const std::int64_t scale = conditioner_.vae().pictures.scale();
    const std::int64_t unit = std::max<std::int64_t>(8, scale);
    // The published models say 96 and were trained at 576x1024, which is also what diffusers draws, whatever
    // the configuration; others mean what they say.
    constexpr std::int64_t kPublishedSize = 96;
    const bool published = traits.sample_height == kPublishedSize && traits.sample_width == kPublishedSize;
    const auto side = [&](int wanted, std::int64_t trained, const char* name) {
        const std::int64_t pixels = wanted != 0 ? wanted : trained;
        if (pixels == 0) usage_error("the model does not say which size it was trained for: give --{}", name);
        if (pixels < unit || pixels > Image::kMaxSide || pixels % unit != 0)
            usage_error("{} is {}; expected a multiple of {} from {} to {}", name, pixels, unit, unit,
                        Image::kMaxSide);
        return static_cast<int>(pixels);
    };
    return {side(options.height, published ? 576 : traits.sample_height * scale, "height"),
            side(options.width, published ? 1024 : traits.sample_width * scale, "width")};
}

namespace {

/// Refuses what this model cannot honour.
void check_options(const GenerateOptions& options, double default_guidance_scale) {
    const auto refuse = [](bool given, const char* name) {
        if (given) usage_error("{} is given, but this model animates a picture and takes none", name);
    };
    refuse(!options.prompt.empty() || !options.prompts.empty(), "a prompt");
    refuse(options.embeddings.has_value(), "a prompt's embeddings");
    refuse(options.prompt_2 || options.prompt_3 || !options.prompt_texts.empty(), "another prompt");
    refuse(options.negative_prompt || options.negative_prompt_2 || options.negative_prompt_3,
           "a negative prompt");
    refuse(options.clip_skip.has_value(), "clip_skip");
    refuse(options.max_sequence_length.has_value(), "max_sequence_length");
    refuse(options.original_size || options.target_size, "original_size or target_size");
    refuse(options.crops_coords_top_left != GenerateOptions{}.crops_coords_top_left, "crops_coords_top_left");
    refuse(!options.clean_caption, "clean_caption");
    refuse(!options.use_resolution_binning, "use_resolution_binning");
    refuse(options.guidance_rescale != 0, "guidance_rescale");
    if (options.guidance_scale && *options.guidance_scale != default_guidance_scale)
        usage_error(
            "guidance_scale is {}; this model's guidance rises over the frames: give min_guidance_scale and "
            "max_guidance_scale",
            *options.guidance_scale);

    constexpr int kMostFrames = 4096, kMostFps = 1000, kMostMotion = 1'000'000;
    const AnimateOptions& video = options.video;
    const auto check = [](bool good, const char* name, auto value, const char* expected) {
        if (!good) usage_error("{} is {}; expected {}", name, value, expected);
    };
    check(video.num_frames >= 0 && video.num_frames <= kMostFrames, "num_frames", video.num_frames,
          "1 to 4096");
    check(video.fps >= 1 && video.fps <= kMostFps, "fps", video.fps, "1 to 1000");
    check(video.motion_bucket_id >= 0 && video.motion_bucket_id <= kMostMotion, "motion_bucket_id",
          video.motion_bucket_id, "0 to 1000000");
    check(video.noise_aug_strength >= 0, "noise_aug_strength", video.noise_aug_strength,
          "a number from 0 on");
    check(video.decode_chunk_size >= 0, "decode_chunk_size", video.decode_chunk_size, "at least 1");
}

/// The halves' predictions (videos, F, C, h, w), guided by each frame's own scale.
Tensor guide_frames(const std::vector<Tensor>& halves, const std::vector<float>& scales) {
    if (halves.size() == 1) return halves[0];
    Tensor result(DType::f32, halves[0].shape());
    const auto uncond = halves[0].span<float>();
    const auto cond = halves[1].span<float>();
    const auto out = result.span<float>();
    const auto frame = out.size() / static_cast<std::size_t>(result.dim(0)) / scales.size();
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = uncond[i] + scales[i / frame % scales.size()] * (cond[i] - uncond[i]);
    return result;
}

/// Latents (1, C, h, w) once for each frame: (1, F, C, h, w).
Tensor repeated(const Tensor& latents, std::int64_t frames) {
    Tensor result(DType::f32, {1, frames, latents.dim(1), latents.dim(2), latents.dim(3)});
    auto out = result.span<float>().begin();
    for (std::int64_t f = 0; f < frames; ++f)
        out = std::copy(latents.span<float>().begin(), latents.span<float>().end(), out);
    return result;
}

}  // namespace

void ImageToVideo::check(const GenerateOptions& options) const {
    check_options(options, *with_defaults({}).guidance_scale);
}

RunShape ImageToVideo::shape(const GenerateOptions& options) const {
    const Size size = frame_size(options);
    const std::int64_t scale = conditioner_.vae().pictures.scale();
    const AnimateOptions& video = options.video;
    RunShape shape;
    shape.height = size.height / scale;
    shape.width = size.width / scale;
    shape.text_tokens = default_text_tokens();
    shape.frames = video.num_frames > 0 ? video.num_frames : denoiser().model().traits().frames;
    shape.guidance = std::max(video.min_guidance_scale, video.max_guidance_scale) > 1;
    shape.mode = options.guidance_mode;
    return shape;
}

std::vector<Branches> ImageToVideo::conditioning(const GenerateOptions& options, const Outlook& ahead,
                                                 Generator& generator) const {
    const AnimateOptions& video = options.video;
    phase(options, "image encoder");
    models::Conditioning cond;
    cond.encoder_hidden_states = conditioner_.embed(options.image, Caller(options));

    phase(options, "vae encoder");
    const Size size = frame_size(options);
    Tensor picture = to_chw(fitted(options.image, {size.width, size.height}, video.fit))
                         .reshaped({1, 3, size.height, size.width});
    const Tensor noise = generator.randn(picture.shape());
    const auto strength = static_cast<float>(video.noise_aug_strength);
    for (std::size_t i = 0; i < noise.span<float>().size(); ++i)
        picture.span<float>()[i] += strength * noise.span<float>()[i];
    cond.image_latents = repeated(conditioner_.latents(picture, Caller(options)), ahead.shape.frames);
    conditioner_.release_large();

    const std::vector<float> ids = {static_cast<float>(video.fps - 1),
                                    static_cast<float>(video.motion_bucket_id), strength};
    cond.time_ids = Tensor::from({1, 3}, std::span<const float>(ids));
    Branches branches;
    if (ahead.shape.guidance) {
        models::Conditioning uncond = cond;
        uncond.encoder_hidden_states = Tensor(DType::f32, cond.encoder_hidden_states.shape());
        uncond.image_latents = Tensor(DType::f32, cond.image_latents.shape());
        branches.push_back(std::move(uncond));
    }
    branches.push_back(std::move(cond));
    return {static_cast<std::size_t>(options.num_images_per_prompt), branches};
}

ImageToVideo::Ingredients ImageToVideo::ingredients(const GenerateOptions& asked) const {
    const GenerateOptions options = with_defaults(asked);
    const Outlook ahead = outlook(options);
    if (options.image.empty()) usage_error("this model animates a picture, and none is given");
    const std::int64_t frames = ahead.shape.frames;
    const Shape shape = {options.num_images_per_prompt, frames, denoiser().model().traits().in_channels,
                         ahead.shape.height, ahead.shape.width};
    Generator generator(options.seed);
    if (options.latents.defined()) noise(options, shape, generator);  // refused before anything runs
    auto videos = conditioning(options, ahead, generator);
    Tensor start = noise(options, shape, generator);
    return {options,
            ahead,
            std::move(videos),
            std::move(start),
            std::move(generator),
            [scales = linspace_f32(options.video.min_guidance_scale, options.video.max_guidance_scale,
                                   static_cast<int>(frames))](const std::vector<Tensor>& halves) {
                return guide_frames(halves, scales);
            },
            scheduler(options)};
}

std::vector<Image> ImageToVideo::decode(const Tensor& latents, const GenerateOptions& options) const {
    const Shape& shape = latents.shape();
    return decoder_(latents.reshaped({shape[1], shape[2], shape[3], shape[4]}),
                    options.video.decode_chunk_size, Caller(options));
}

PromptEmbeddings ImageToVideo::encode_prompt(const GenerateOptions& /*options*/) const {
    usage_error("this model animates a picture and takes no prompts");
}

}  // namespace reprise::pipelines
