#include "pipelines/image_to_video.h"

#include <algorithm>

#include "media/image_resize.h"
#include "pipelines/frames.h"
#include "reprise/error.h"
#include "schedulers/numeric.h"

namespace reprise::pipelines {

ImageToVideo::ImageToVideo(PipelineParts parts)
    : DiffusionPipeline(std::move(parts)),
      conditioner_(source(), engine(), vae_engine(), load_options()),
      decoder_(source(), vae_engine()) {
    const models::DenoiserTraits traits = denoiser().model().traits();
    const auto latent_channels = conditioner_.vae().pictures.latent_channels;
    const auto laid_beside = denoiser().model().input(models::kImageLatents);
    const auto image_channels =
        laid_beside ? laid_beside->shape.at(static_cast<std::size_t>(traits.place_of(models::Axis::channels)))
                    : 0;
    const auto text_width = denoiser().model().width_of(models::kText);
    const std::string where = source()->description();
    if (traits.frames == 0) usage_error("{}: its denoiser does not make videos", where);
    if (traits.in_channels != latent_channels || traits.out_channels != latent_channels ||
        image_channels != latent_channels)
        usage_error(
            "{}: its denoiser takes {} channels beside {} of a picture and gives {}, its autoencoder has {}",
            where, traits.in_channels, image_channels, traits.out_channels, latent_channels);
    if (text_width != conditioner_.width())
        usage_error("{}: its denoiser expects an embedding of width {}, its image encoder gives {}", where,
                    text_width, conditioner_.width());
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

/// The halves' predictions, whose frames lie along `axis`, guided by each frame's own scale.
Tensor guide_frames(const std::vector<Tensor>& halves, const std::vector<float>& scales, std::size_t axis) {
    if (halves.size() == 1) return halves[0];
    Tensor result(DType::f32, halves[0].shape());
    const auto uncond = halves[0].span<float>();
    const auto cond = halves[1].span<float>();
    const auto out = result.span<float>();
    const auto frame = elements_after(result.shape(), axis);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = uncond[i] + scales[i / frame % scales.size()] * (cond[i] - uncond[i]);
    return result;
}

}  // namespace

bool ImageToVideo::honours(options::About about) const {
    return about == options::About::call || about == options::About::video;
}

std::size_t ImageToVideo::frames_axis() const {
    return static_cast<std::size_t>(denoiser().model().traits().place_of(models::Axis::frames));
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
    cond[models::kText] = conditioner_.embed(options.image, Caller(options));

    phase(options, "vae encoder");
    const Size size = frame_size(options);
    Tensor picture = to_chw(fitted(options.image, {size.width, size.height}, video.fit))
                         .reshaped({1, 3, size.height, size.width});
    const Tensor noise = generator.randn(picture.shape());
    const auto strength = static_cast<float>(video.noise_aug_strength);
    for (std::size_t i = 0; i < noise.span<float>().size(); ++i)
        picture.span<float>()[i] += strength * noise.span<float>()[i];
    cond[models::kImageLatents] =
        for_each_frame(conditioner_.latents(picture, Caller(options)), ahead.shape.frames, frames_axis());
    conditioner_.release_large();

    const std::vector<float> ids = {static_cast<float>(video.fps - 1),
                                    static_cast<float>(video.motion_bucket_id), strength};
    cond[models::kTimeIds] = Tensor::from({1, 3}, std::span<const float>(ids));
    Branches branches;
    if (ahead.shape.guidance) {
        models::Conditioning uncond = cond;
        for (const char* name : {models::kText, models::kImageLatents})
            uncond[name] = Tensor(DType::f32, cond.at(name).shape());
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
    const int count = options.num_images_per_prompt;
    Generator generator(options.seed);
    if (options.latents.defined()) noise(options, ahead.shape, count, generator);  // refused before it runs
    auto videos = conditioning(options, ahead, generator);
    Tensor start = noise(options, ahead.shape, count, generator);
    return asked_of({options, ahead, std::move(videos), std::move(start), generator,
                     [scales = linspace_f32(options.video.min_guidance_scale,
                                            options.video.max_guidance_scale, static_cast<int>(frames)),
                      axis = frames_axis()](const std::vector<Tensor>& halves) {
                         return guide_frames(halves, scales, axis);
                     },
                     scheduler(options)});
}

std::vector<Image> ImageToVideo::decode(const Tensor& latents, const GenerateOptions& options) const {
    return decoder_(frames_first(latents, frames_axis()), options.video.decode_chunk_size, Caller(options));
}

PromptEmbeddings ImageToVideo::encode_prompt(const GenerateOptions& /*options*/) const {
    usage_error("this model animates a picture and takes no prompts");
}

}  // namespace reprise::pipelines
