#include "pipelines/text_to_image.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/checks.h"
#include "pipelines/guidance.h"
#include "pipelines/prompt_embeddings.h"
#include "reprise/error.h"

namespace reprise::pipelines {

TextToImage::TextToImage(PipelineParts parts, std::unique_ptr<Conditioner> conditioner, Binning binning)
    : DiffusionPipeline(std::move(parts)),
      conditioner_(std::move(conditioner)),
      binning_(binning),
      decoder_(source(), vae_engine()) {
    const models::Denoiser& model = denoiser().model();
    const models::DenoiserTraits traits = model.traits();
    const std::string where = source()->description();
    if (traits.in_channels != decoder_.config().latent_channels || traits.out_channels != traits.in_channels)
        usage_error(
            "{}: its denoiser takes {} channels and gives {}, its autoencoder has {}; inpainting and other "
            "variants are not supported yet",
            where, traits.in_channels, traits.out_channels, decoder_.config().latent_channels);
    if (is_stable_diffusion_xl(*source()) && !model.takes(models::kPooledText))
        usage_error(
            "{}: \"addition_embed_type\" is null or missing, expected \"text_time\", as this pipeline needs",
            source()->config("unet").file);
    if (source()->class_name().starts_with("PixArt") &&
        source()->config("transformer").is_null("out_channels"))
        usage_error("{}: \"out_channels\" is null, expected a number, as this pipeline compares it",
                    source()->config("transformer").file);
    if (!conditioner_) return;
    const std::int64_t text = model.width_of(models::kText), pooled = model.width_of(models::kPooledText);
    if (text != conditioner_->text_width())
        usage_error("{}: its denoiser expects text of width {}, its text encoders give {}", where, text,
                    conditioner_->text_width());
    if (pooled > 0 && pooled != conditioner_->pooled_width())
        usage_error("{}: its denoiser expects a pooled text of width {}{}, its text encoder gives {}", where,
                    pooled, traits.time_ids > 0 ? fmt::format(" beside {} ids", traits.time_ids) : "",
                    conditioner_->pooled_width());
}

PictureSize TextToImage::asked_size(const GenerateOptions& options) const {
    const models::DenoiserTraits traits = denoiser().model().traits();
    const std::int64_t scale = decoder_.config().scale();
    const std::int64_t unit = uses_bins(options) ? 1 : scale * traits.patch_size;
    const std::int64_t most = traits.max_side > 0
                                  ? std::min<std::int64_t>(traits.max_side * scale, Image::kMaxSide)
                                  : Image::kMaxSide;
    const Tensor& start = options.start_latents;
    if (start.defined() && start.rank() != 4)
        usage_error("start_latents have shape {}, expected (pictures, {}, height, width)",
                    to_string(start.shape()), traits.in_channels);
    const auto side = [&](int wanted, std::int64_t trained, const char* name, std::size_t dimension) {
        const std::int64_t started = start.defined() ? start.dim(dimension) * scale : 0;
        if (started > 0 && wanted != 0 && wanted != started)
            usage_error("{} is {}, but start_latents are of {} pixels", name, wanted, started);
        const std::int64_t pixels = started > 0 ? started : wanted != 0 ? wanted : trained * scale;
        if (pixels == 0) usage_error("the model does not say which size it was trained for: give --{}", name);
        if (pixels < unit || pixels > most || pixels % unit != 0)
            usage_error("{} is {}; expected a multiple of {} from {} to {}", name, pixels, unit, unit, most);
        return static_cast<int>(pixels);
    };
    return {side(options.height, traits.sample_height, "height", 2),
            side(options.width, traits.sample_width, "width", 3)};
}

PictureSize TextToImage::drawn_size(const GenerateOptions& options) const {
    const PictureSize asked = asked_size(options);
    return uses_bins(options) ? binning_.bins->closest(asked) : asked;
}

namespace {

std::vector<std::string> all_prompts(const GenerateOptions& options) {
    if (!options.prompts.empty() && !options.prompt.empty())
        usage_error("both a prompt and a list of prompts are given; give one of them");
    return options.prompts.empty() ? std::vector<std::string>{options.prompt} : options.prompts;
}

/// The options with what is said for this one of the prompts alone.
GenerateOptions options_of_prompt(const GenerateOptions& options, std::size_t prompt) {
    if (options.prompt_texts.empty()) return options;
    GenerateOptions result = options;
    const PromptTexts& own = options.prompt_texts[prompt];
    const auto put = [](const std::optional<std::string>& text, std::optional<std::string>& place) {
        if (text) place = text;
    };
    put(own.prompt_2, result.prompt_2);
    put(own.prompt_3, result.prompt_3);
    put(own.negative_prompt, result.negative_prompt);
    put(own.negative_prompt_2, result.negative_prompt_2);
    put(own.negative_prompt_3, result.negative_prompt_3);
    return result;
}

/// What a denoiser that takes the picture's size is told of it, in a half of guidance.
Tensor size_ids(const GenerateOptions& options, PictureSize size, std::int64_t how_many, bool conditional) {
    std::vector<float> ids;
    const std::pair drawn(size.height, size.width);
    const auto original = options.original_size.value_or(drawn);
    if (how_many == models::kCropAndScoreIds) {
        const auto crop = conditional ? options.crops_coords_top_left : std::pair(0, 0);
        for (const int id : {original.first, original.second, crop.first, crop.second})
            ids.push_back(static_cast<float>(id));
        ids.push_back(
            static_cast<float>(conditional ? options.aesthetic_score : options.negative_aesthetic_score));
    } else if (how_many == models::kSizeAndCropIds) {
        const auto target = options.target_size.value_or(drawn);
        const auto& crop = options.crops_coords_top_left;
        for (const int id :
             {original.first, original.second, crop.first, crop.second, target.first, target.second})
            ids.push_back(static_cast<float>(id));
    } else if (how_many == models::kSizeAndRatioIds) {
        ids = {static_cast<float>(size.height), static_cast<float>(size.width),
               static_cast<float>(static_cast<double>(size.height) / static_cast<double>(size.width))};
    } else {
        return {};
    }
    return Tensor::from({1, how_many}, std::span<const float>(ids));
}

}  // namespace

void TextToImage::check_texts(const GenerateOptions& options) const {
    if (!options.prompt_texts.empty() && options.prompt_texts.size() != options.prompts.size())
        usage_error("prompt_texts has {} entries for {} prompts; expected one for each",
                    options.prompt_texts.size(), options.prompts.size());
    if (options.embeddings) {
        check_embeddings(*options.embeddings, denoiser().model(), *options.guidance_scale > 1);
        check_no_texts(options);
    } else if (conditioner_) {
        conditioner_->check(options);
        for (std::size_t i = 0; i < options.prompt_texts.size(); ++i)
            conditioner_->check(options_of_prompt(options, i));
    }
}

bool TextToImage::honours(options::About about) const {
    using options::About;
    const std::int64_t ids = denoiser().model().traits().time_ids;
    switch (about) {
        case About::call:
        case About::embeddings:
        case About::guidance:
            return true;
        case About::parts:
            return is_stable_diffusion_xl(*source());
        case About::size_ids:
            return ids == models::kSizeAndCropIds || ids == models::kCropAndScoreIds;
        case About::target_size:
            return ids == models::kSizeAndCropIds;
        case About::score:
            return ids == models::kCropAndScoreIds;
        case About::bins:
            return binning_.is_an_option;
        default:
            return conditioner_ && conditioner_->honours(about);
    }
}

void TextToImage::check(const GenerateOptions& options) const {
    check_texts(options);
}

RunShape TextToImage::shape(const GenerateOptions& options) const {
    const PictureSize size = drawn_size(options);
    RunShape shape;
    shape.height = size.height / decoder_.config().scale();
    shape.width = size.width / decoder_.config().scale();
    shape.text_tokens = options.embeddings ? options.embeddings->prompt_embeds.dim(1)
                        : conditioner_     ? conditioner_->text_length(options).most
                                           : default_text_tokens();
    shape.guidance = *options.guidance_scale > 1;
    shape.mode = options.guidance_mode;
    return shape;
}

std::vector<Branches> TextToImage::texts(const GenerateOptions& options, bool guidance) const {
    if (options.embeddings) return branches_of(*options.embeddings, guidance);
    if (!conditioner_)
        usage_error("{}: opened without text encoders, it takes prompts as embeddings",
                    source()->description());
    phase(options, "text encoder");
    std::vector<Branches> result;
    for (const std::string& prompt : all_prompts(options))
        result.push_back(conditioner_->encode(options_of_prompt(options, result.size()), prompt, guidance));
    conditioner_->release_large();
    return result;
}

PromptEmbeddings TextToImage::encode_prompt(const GenerateOptions& asked) const {
    GenerateOptions options = with_defaults(asked);
    if (options.embeddings) usage_error("the prompts are given as embeddings already");
    refuse_unhonoured(options);
    check_texts(options);
    PromptEmbeddings result = embeddings_of(texts(options, true));
    result.prompts = all_prompts(options);
    return result;
}

std::vector<Branches> TextToImage::conditioning(const GenerateOptions& options, bool guidance) const {
    const PictureSize size = drawn_size(options);
    const std::int64_t how_many = denoiser().model().traits().time_ids;
    std::vector<Branches> pictures;
    for (auto& halves : texts(options, guidance)) {
        for (models::Conditioning& half : halves)
            if (Tensor ids = size_ids(options, size, how_many, &half == &halves.back()); ids.defined())
                half[models::kTimeIds] = std::move(ids);
        pictures.insert(pictures.end(), static_cast<std::size_t>(options.num_images_per_prompt), halves);
    }
    return pictures;
}

TextToImage::Ingredients TextToImage::ingredients(const GenerateOptions& asked) const {
    const GenerateOptions options = with_defaults(asked);
    const Outlook ahead = outlook(options);
    check_start(options);
    const auto prompts = options.embeddings ? options.embeddings->prompt_embeds.dim(0)
                                            : static_cast<std::int64_t>(all_prompts(options).size());
    Generator generator(options.seed);
    const std::int64_t count = prompts * options.num_images_per_prompt;
    const bool is_started = options.start_latents.defined();
    Tensor latents = is_started ? started(options, ahead.shape, count) : Tensor();
    Tensor fresh = is_started ? Tensor() : noise(options, ahead.shape, count, generator);
    return asked_of({options, ahead, conditioning(options, ahead.shape.guidance), std::move(fresh), generator,
                     [scale = *options.guidance_scale, rescale = options.guidance_rescale](
                         const std::vector<Tensor>& halves) { return guide(halves, scale, rescale); },
                     scheduler(options), std::move(latents)});
}

void TextToImage::check_start(const GenerateOptions& options) const {
    const bool is_started = options.start_latents.defined();
    if (is_started != options.denoising_start.has_value())
        usage_error("{} given, but no {}; expected both or none",
                    is_started ? "start_latents are" : "denoising_start is",
                    is_started ? "denoising_start" : "start_latents");
    if (!is_started && source()->class_name() == "StableDiffusionXLImg2ImgPipeline")
        usage_error(
            "{}: a refiner goes on from latents: give start_latents and denoising_start; pictures are not "
            "supported yet",
            source()->description());
}

std::vector<Image> TextToImage::decode(const Tensor& latents, const GenerateOptions& options) const {
    Tensor picture = decoder_.decode(latents, Caller(options));
    if (uses_bins(options)) picture = resized_and_cropped(picture, asked_size(options));
    return {Image::from_chw(picture.reshaped({3, picture.dim(2), picture.dim(3)}))};
}

}  // namespace reprise::pipelines
