#include "pipelines/text_to_image.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

#include "models/registry.h"
#include "reprise/error.h"
#include "schedulers/registry.h"

namespace reprise::pipelines {

namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Engine make_engine(const LoadOptions& options) {
    Engine engine;
    engine.backend = backends::create(options.backend);
    engine.options.device = options.device;
    engine.options.threads = options.threads;
    engine.options.precision =
        options.precision.value_or(engine.backend->preferred_precision(options.device));
    if (options.precision) engine.backend->check_precision(options.device, *options.precision);
    return engine;
}

Engine with_precision(Engine engine, DType precision) {
    engine.options.precision = precision;
    return engine;
}

/// Components that a folder may have and that pictures do not need.
void name_unused(const ModelFolder& folder) {
    static const std::set<std::string, std::less<>> kUsed = {
        "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae", "scheduler"};
    for (const auto& [name, component] : folder.components())
        if (component && kUsed.find(name) == kUsed.end())
            spdlog::info("{}: component {} ({}) is not used", folder.path().string(), name,
                         component->class_name);
}

std::unique_ptr<GuidedDenoiser> open_denoiser(const ModelFolder& folder, const Engine& engine,
                                              const std::string& variant, bool structure_only) {
    const std::string& pipeline = folder.class_name();
    if (pipeline != "StableDiffusionXLPipeline" && pipeline != "StableDiffusionPipeline")
        usage_error("{}: this is a {}; Reprise runs StableDiffusionXLPipeline and StableDiffusionPipeline",
                    folder.path().string(), pipeline);
    name_unused(folder);
    const std::string& class_name = folder.component("unet").class_name;
    return std::make_unique<GuidedDenoiser>(
        class_name, models::make_denoiser(class_name, folder.config("unet")),
        structure_only ? nullptr : open_weights(folder.path("unet"), variant, engine.options.precision),
        engine);
}

}  // namespace

TextToImage::TextToImage(const std::filesystem::path& folder, const LoadOptions& options, bool structure_only)
    : folder_(folder),
      engine_(make_engine(options)),
      options_(options),
      denoiser_(open_denoiser(folder_, engine_, options.variant, structure_only)),
      text_(folder_, {engine_, options.variant, options.keep_parameters_below}),
      decoder_(folder_, with_precision(engine_, options.vae_precision), options.variant) {
    const models::DenoiserTraits traits = denoiser_->model().traits();
    if (traits.in_channels != decoder_.config().latent_channels || traits.out_channels != traits.in_channels)
        usage_error(
            "{}: its denoiser takes {} channels and gives {}, its autoencoder has {}; inpainting and other "
            "variants are not supported yet",
            folder.string(), traits.in_channels, traits.out_channels, decoder_.config().latent_channels);
    if (traits.text_width != text_.text_width())
        usage_error("{}: its denoiser expects text of width {}, its text encoders give {}", folder.string(),
                    traits.text_width, text_.text_width());
    if (traits.pooled_width > 0 && traits.pooled_width != text_.pooled_width())
        usage_error("{}: its denoiser expects a pooled text of width {}, its text encoder gives {}",
                    folder.string(), traits.pooled_width, text_.pooled_width());
}

namespace {

/// The picture's sides in pixels, checked.
std::pair<int, int> picture_size(const GenerateOptions& options, const models::DenoiserTraits& traits,
                                 std::int64_t scale) {
    const auto side = [&](int wanted, std::int64_t trained, const char* name) {
        const std::int64_t pixels = wanted != 0 ? wanted : trained * scale;
        if (pixels == 0) usage_error("the model does not say which size it was trained for: give --{}", name);
        if (pixels < scale || pixels > Image::kMaxSide || pixels % scale != 0)
            usage_error("{} is {}; expected a multiple of {} from {} to {}", name, pixels, scale, scale,
                        Image::kMaxSide);
        return static_cast<int>(pixels);
    };
    return {side(options.height, traits.sample_height, "height"),
            side(options.width, traits.sample_width, "width")};
}

std::vector<std::string> all_prompts(const GenerateOptions& options) {
    if (!options.prompts.empty() && !options.prompt.empty())
        usage_error("both a prompt and a list of prompts are given; give one of them");
    return options.prompts.empty() ? std::vector<std::string>{options.prompt} : options.prompts;
}

}  // namespace

void TextToImage::check(const GenerateOptions& options) const {
    if (options.num_images_per_prompt < 1)
        usage_error("{} images per prompt; expected at least 1", options.num_images_per_prompt);
    if (options.num_inference_steps < 1)
        usage_error("{} steps; expected at least 1", options.num_inference_steps);
    if (options.guidance_rescale < 0 || options.guidance_rescale > 1)
        usage_error("guidance_rescale is {}; expected 0 to 1", options.guidance_rescale);
    const bool takes_sizes = denoiser_->model().traits().pooled_width > 0;
    if (!takes_sizes &&
        (options.original_size || options.target_size || options.crops_coords_top_left != std::pair(0, 0)))
        usage_error("this model does not take sizes and crops as conditions");
}

std::unique_ptr<Scheduler> TextToImage::scheduler(const GenerateOptions& options) const {
    const Config config = folder_.config("scheduler");
    return options.scheduler.empty() ? make_scheduler(config.json, config.file)
                                     : make_scheduler(options.scheduler, config.json, config.file);
}

TextToImage::Outlook TextToImage::outlook(const GenerateOptions& options) const {
    check(options);
    const auto [height, width] =
        picture_size(options, denoiser_->model().traits(), decoder_.config().scale());
    Outlook result;
    result.shape = {height / decoder_.config().scale(), width / decoder_.config().scale(), text_.tokens(),
                    options.guidance_scale > 1, options.guidance_mode};
    result.evaluations = scheduler(options)->start(options.num_inference_steps)->evaluations();
    return result;
}

std::vector<GuidedDenoiser::Branches> TextToImage::conditioning(const GenerateOptions& options,
                                                                bool guidance) {
    const auto [height, width] =
        picture_size(options, denoiser_->model().traits(), decoder_.config().scale());
    const auto original = options.original_size.value_or(std::pair(height, width));
    const auto target = options.target_size.value_or(std::pair(height, width));
    const auto& crop = options.crops_coords_top_left;
    std::vector<float> ids;
    for (const int id :
         {original.first, original.second, crop.first, crop.second, target.first, target.second})
        ids.push_back(static_cast<float>(id));

    const std::scoped_lock lock(encoders_mutex_);
    std::vector<GuidedDenoiser::Branches> pictures;
    for (const std::string& prompt : all_prompts(options)) {
        auto halves =
            text_.encode({prompt, options.prompt_2, options.negative_prompt, options.negative_prompt_2},
                         guidance, options.clip_skip);
        for (auto& half : halves) half.time_ids = Tensor::from({1, 6}, std::span<const float>(ids));
        pictures.insert(pictures.end(), static_cast<std::size_t>(options.num_images_per_prompt), halves);
    }
    text_.release_large();
    return pictures;
}

Tensor TextToImage::noise(const GenerateOptions& options, std::int64_t pictures, Generator& generator) const {
    const auto [height, width] =
        picture_size(options, denoiser_->model().traits(), decoder_.config().scale());
    const Shape shape = {pictures, denoiser_->model().traits().in_channels,
                         height / decoder_.config().scale(), width / decoder_.config().scale()};
    if (!options.latents.defined()) return generator.randn(shape);
    if (options.latents.shape() != shape)
        usage_error(
            "the latents given have shape {}, expected {} (pictures, channels, height / {}, width / {})",
            to_string(options.latents.shape()), to_string(shape), decoder_.config().scale(),
            decoder_.config().scale());
    if (!is_floating(options.latents.type()))
        usage_error("the latents given hold {}, expected f32", name_of(options.latents.type()));
    return options.latents.to(DType::f32).clone();
}

namespace {

std::string summary(const RunReport& report, const cachify::Plan& plan) {
    if (!report.reuse) return fmt::format("{} steps in full, nothing reused", report.steps.size());
    const auto reused =
        std::count_if(report.steps.begin(), report.steps.end(), [](const auto& s) { return s.reused; });
    return fmt::format(
        "reused {} module{} at {} of {} steps: {:.0f} % of the denoiser's work saved, {:.1f} MB kept",
        plan.schedule.rules.size(), plan.schedule.rules.size() == 1 ? "" : "s", reused, report.steps.size(),
        100 * (1 - report.flops_run / std::max(1.0, report.flops_full)),
        static_cast<double>(report.kept_bytes) / 1e6);
}

}  // namespace

GenerateOutput TextToImage::operator()(const GenerateOptions& options) {
    using Clock = std::chrono::steady_clock;
    const Outlook ahead = outlook(options);
    const auto phase = [&](std::string_view name) {
        if (options.on_phase) options.on_phase(name);
    };
    GenerateOutput output;
    RunReport& report = output.report;

    auto begin = Clock::now();
    phase("text encoder");
    const auto pictures = conditioning(options, ahead.shape.guidance);
    report.text_seconds = seconds_since(begin);

    const auto chosen = scheduler(options);
    if (denoiser_->reuses() && chosen->stochastic())
        spdlog::warn(
            "{} adds noise at every step, which reuse follows badly; euler or dpm++2m suit it better",
            chosen->name());
    const auto sampler = chosen->start(options.num_inference_steps);
    Generator generator(options.seed);
    Tensor latents = noise(options, static_cast<std::int64_t>(pictures.size()), generator);
    for (float& value : latents.span<float>()) value *= sampler->init_noise_sigma();

    begin = Clock::now();
    auto run = denoiser_->start(ahead.shape, sampler->evaluations(), pictures, options.on_phase);
    report.compile_seconds = seconds_since(begin);

    phase("denoise");
    begin = Clock::now();
    auto step_begin = begin;
    const auto& evaluations = sampler->evaluations();
    StepInfo info;
    info.num_steps = sampler->num_steps();
    double share = 0;
    int share_count = 0;
    for (std::size_t e = 0; e < evaluations.size(); ++e) {
        const auto halves = run.evaluate(sampler->scale_model_input(latents, static_cast<int>(e)));
        latents = sampler->step(guide(halves, options.guidance_scale, options.guidance_rescale),
                                static_cast<int>(e), latents, &generator);
        share += run.flops_share();
        ++share_count;
        info.reused = info.reused || run.reused();
        if (e + 1 < evaluations.size() && evaluations[e + 1].step == evaluations[e].step) continue;
        info.step = evaluations[e].step;
        info.seconds = seconds_since(step_begin);
        info.flops_share = share / share_count;
        report.steps.push_back(info);
        if (options.callback_on_step_end && !options.callback_on_step_end(info))
            throw Error(ErrorKind::cancelled,
                        fmt::format("stopped after step {} of {}", info.step + 1, info.num_steps));
        step_begin = Clock::now();
        info.reused = false;
        share = 0;
        share_count = 0;
    }
    report.denoise_seconds = seconds_since(begin);
    output.latents = latents;

    const cachify::Plan& plan = run.plan();
    const auto branches = static_cast<double>(plan.schedule.num_branches);
    report.scheduler = chosen->name();
    report.precision = name_of(engine_.options.precision);
    report.guidance_mode = run.mode();
    report.reuse = run.reuse();
    report.segments = plan.segments.size();
    report.flops_full = plan.cost_of_full().flops * branches * static_cast<double>(evaluations.size());
    report.flops_run = run.flops_run();
    const cachify::Program& program = run.reuse() ? plan.program : plan.full_program;
    report.kept_bytes = program.kept_bytes();
    report.prologue_bytes = program.prologue_bytes();
    report.scratch_bytes = program.scratch_bytes();
    report.complaints = run.complaints();
    report.summary = summary(report, plan);

    if (options.decode) {
        phase("decode");
        begin = Clock::now();
        const std::scoped_lock lock(encoders_mutex_);
        for (std::int64_t p = 0; p < latents.dim(0); ++p)
            output.images.push_back(decoder_(latents.rows(p, p + 1)));
        report.decode_seconds = seconds_since(begin);
    }
    const std::scoped_lock lock(report_mutex_);
    last_report_ = report;
    return output;
}

RunReport TextToImage::last_report() const {
    const std::scoped_lock lock(report_mutex_);
    return last_report_;
}

void TextToImage::forget_report() {
    const std::scoped_lock lock(report_mutex_);
    last_report_ = {};
}

}  // namespace reprise::pipelines
