#include "pipelines/text_to_image.h"

#include <algorithm>

#include "reprise/error.h"

namespace reprise::pipelines {

TextToImage::TextToImage(PipelineParts parts, std::unique_ptr<Conditioner> conditioner,
                         std::optional<AspectBins> bins)
    : DiffusionPipeline(std::move(parts)),
      conditioner_(std::move(conditioner)),
      bins_(bins),
      decoder_(folder(), engine(load_options().vae_precision), load_options().variant) {
    const models::DenoiserTraits traits = denoiser().model().traits();
    const std::string where = folder().path().string();
    if (traits.in_channels != decoder_.config().latent_channels || traits.out_channels != traits.in_channels)
        usage_error(
            "{}: its denoiser takes {} channels and gives {}, its autoencoder has {}; inpainting and other "
            "variants are not supported yet",
            where, traits.in_channels, traits.out_channels, decoder_.config().latent_channels);
    if (traits.text_width != conditioner_->text_width())
        usage_error("{}: its denoiser expects text of width {}, its text encoders give {}", where,
                    traits.text_width, conditioner_->text_width());
    if (traits.pooled_width > 0 && traits.pooled_width != conditioner_->pooled_width())
        usage_error("{}: its denoiser expects a pooled text of width {}, its text encoder gives {}", where,
                    traits.pooled_width, conditioner_->pooled_width());
}

PictureSize TextToImage::asked_size(const GenerateOptions& options) const {
    const models::DenoiserTraits traits = denoiser().model().traits();
    const std::int64_t scale = decoder_.config().scale();
    const std::int64_t unit = uses_bins(options) ? 1 : scale * traits.patch_size;
    const std::int64_t most = traits.max_side > 0
                                  ? std::min<std::int64_t>(traits.max_side * scale, Image::kMaxSide)
                                  : Image::kMaxSide;
    const auto side = [&](int wanted, std::int64_t trained, const char* name) {
        const std::int64_t pixels = wanted != 0 ? wanted : trained * scale;
        if (pixels == 0) usage_error("the model does not say which size it was trained for: give --{}", name);
        if (pixels < unit || pixels > most || pixels % unit != 0)
            usage_error("{} is {}; expected a multiple of {} from {} to {}", name, pixels, unit, unit, most);
        return static_cast<int>(pixels);
    };
    return {side(options.height, traits.sample_height, "height"),
            side(options.width, traits.sample_width, "width")};
}

PictureSize TextToImage::drawn_size(const GenerateOptions& options) const {
    const PictureSize asked = asked_size(options);
    return uses_bins(options) ? bins_->closest(asked) : asked;
}

namespace {

std::vector<std::string> all_prompts(const GenerateOptions& options) {
    if (!options.prompts.empty() && !options.prompt.empty())
        usage_error("both a prompt and a list of prompts are given; give one of them");
    return options.prompts.empty() ? std::vector<std::string>{options.prompt} : options.prompts;
}

}  // namespace

TextToImage::Outlook TextToImage::outlook(const GenerateOptions& asked) const {
    const GenerateOptions options = with_defaults(asked);
    check_common(options);
    if (!options.image.empty()) usage_error("this model draws from prompts; it takes no picture");
    conditioner_->check(options);
    const PictureSize size = drawn_size(options);
    Outlook result;
    result.shape.height = size.height / decoder_.config().scale();
    result.shape.width = size.width / decoder_.config().scale();
    result.shape.text_tokens = conditioner_->tokens(options);
    result.shape.guidance = *options.guidance_scale > 1;
    result.shape.mode = options.guidance_mode;
    result.evaluations = scheduler(options)->start(*options.num_inference_steps)->evaluations();
    return result;
}

std::vector<GuidedDenoiser::Branches> TextToImage::conditioning(const GenerateOptions& options,
                                                                bool guidance) {
    const PictureSize size = drawn_size(options);
    const std::scoped_lock lock(encoders_mutex_);
    std::vector<GuidedDenoiser::Branches> pictures;
    for (const std::string& prompt : all_prompts(options)) {
        const auto halves = conditioner_->encode({options, prompt, size.height, size.width, guidance});
        pictures.insert(pictures.end(), static_cast<std::size_t>(options.num_images_per_prompt), halves);
    }
    conditioner_->release_large();
    return pictures;
}

TextToImage::Ingredients TextToImage::ingredients(const GenerateOptions& asked) {
    const GenerateOptions options = with_defaults(asked);
    const Outlook ahead = outlook(options);
    auto pictures = conditioning(options, ahead.shape.guidance);
    Generator generator(options.seed);
    const Shape shape = {static_cast<std::int64_t>(pictures.size()), denoiser().model().traits().in_channels,
                         ahead.shape.height, ahead.shape.width};
    Tensor start = noise(options, shape, generator);
    return {options,
            ahead,
            std::move(pictures),
            std::move(start),
            [scale = *options.guidance_scale, rescale = options.guidance_rescale](
                const std::vector<Tensor>& halves) { return guide(halves, scale, rescale); },
            scheduler(options)};
}

Image TextToImage::decode(const Tensor& latents, const GenerateOptions& options) {
    const std::scoped_lock lock(encoders_mutex_);
    Tensor picture = decoder_.decode(latents);
    if (uses_bins(options)) picture = resized_and_cropped(picture, asked_size(options));
    return Image::from_chw(picture.reshaped({3, picture.dim(2), picture.dim(3)}));
}

GenerateOutput TextToImage::operator()(const GenerateOptions& asked) {
    using Clock = std::chrono::steady_clock;
    const GenerateOptions options = with_defaults(asked);
    const Outlook ahead = outlook(options);
    GenerateOutput output;
    RunReport& report = output.report;

    auto begin = Clock::now();
    phase(options, "text encoder");
    const auto pictures = conditioning(options, ahead.shape.guidance);
    report.text_seconds = seconds_since(begin);

    Generator generator(options.seed);
    const Shape shape = {static_cast<std::int64_t>(pictures.size()), denoiser().model().traits().in_channels,
                         ahead.shape.height, ahead.shape.width};
    output.latents = denoise({options, ahead, pictures, noise(options, shape, generator), generator,
                              [&](const std::vector<Tensor>& halves) {
                                  return guide(halves, *options.guidance_scale, options.guidance_rescale);
                              }},
                             report);

    if (options.decode) {
        phase(options, "decode");
        begin = Clock::now();
        for (std::int64_t p = 0; p < output.latents.dim(0); ++p)
            output.images.push_back(decode(output.latents.rows(p, p + 1), options));
        report.decode_seconds = seconds_since(begin);
    }
    keep_report(report);
    return output;
}

}  // namespace reprise::pipelines
