#include "pipelines/diffusion_pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

#include "cachify/policies.h"
#include "core/finite.h"
#include "core/quantities.h"
#include "options/honours.h"
#include "pipelines/as_loaded.h"
#include "pipelines/component.h"
#include "pipelines/identity.h"
#include "pipelines/policy_view.h"
#include "pipelines/sampling_loop.h"
#include "pipelines/staged_run.h"
#include "reprise/error.h"
#include "schedulers/registry.h"

namespace reprise::pipelines {

using Clock = std::chrono::steady_clock;

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

DiffusionPipeline::DiffusionPipeline(PipelineParts parts)
    : parts_(std::move(parts)), made_(parts_.denoisers.size()) {
    if (!source()->has("scheduler")) return;
    const Config config = source()->config("scheduler");
    warn_of_unknown_keys(config.json, config.file);
}

cachify::DenoiserIdentity DiffusionPipeline::identity(std::size_t which) const {
    MadeOnce& made = made_[which];
    std::call_once(made.identity_made,
                   [&] { made.identity = denoiser_identity(*source(), parts_.denoisers[which].name); });
    return made.identity;
}

const graph::Graph& DiffusionPipeline::structure(std::size_t which) const {
    MadeOnce& made = made_[which];
    std::call_once(made.structure_made, [&] { made.structure = denoiser(which).structure(any_shape()); });
    return made.structure;
}

RunRequest DiffusionPipeline::request(const GenerateOptions& options, const Outlook& ahead,
                                      std::size_t stage) const {
    GenerateOptions heard = options;
    heard.on_message = hears(options);
    const auto& [which, range] = ahead.stages[stage];
    auto evaluations = own_evaluations(ahead.evaluations, range);
    if (range.size() < ahead.evaluations.size()) heard.num_inference_steps = evaluations.back().step + 1;
    auto ways = ways_of(*this, heard, which);
    return {ahead.shape, std::move(evaluations), std::move(ways), {}, Caller(heard), options.on_phase};
}

OnMessage DiffusionPipeline::hears(const GenerateOptions& options) const {
    if (options.on_message) return options.on_message;
    return [this](const Message& message) {
        {
            const std::scoped_lock lock(mutex_);
            if (!logged_.insert(message.text).second) return;
        }
        spdlog::log(message.level == Message::Level::warning ? spdlog::level::warn : spdlog::level::info,
                    "{}", message.text);
    };
}

void DiffusionPipeline::forget_messages() const {
    const std::scoped_lock lock(mutex_);
    logged_.clear();
}

std::shared_ptr<const Reuse> DiffusionPipeline::default_reuse() const {
    const std::scoped_lock lock(mutex_);
    return default_reuse_;
}

void DiffusionPipeline::set_default_reuse(std::shared_ptr<const Reuse> reuse) {
    const std::scoped_lock lock(mutex_);
    default_reuse_ = std::move(reuse);
}

Engine DiffusionPipeline::vae_engine() const {
    return in_precision(parts_.engine, load_options().vae_precision);
}

GenerateOptions DiffusionPipeline::with_defaults(GenerateOptions options) const {
    options.num_inference_steps = options.num_inference_steps.value_or(parts_.default_steps);
    options.guidance_scale = options.guidance_scale.value_or(parts_.default_guidance_scale);
    return options;
}

std::unique_ptr<Scheduler> DiffusionPipeline::scheduler(const GenerateOptions& options) const {
    return scheduler_as_loaded(*source(), options.scheduler);
}

DiffusionPipeline::Outlook DiffusionPipeline::outlook(const GenerateOptions& asked) const {
    const GenerateOptions options = with_defaults(asked);
    options::check_values(options::generate_options(), &options);
    refuse_unhonoured(options);
    check_part(options);
    check(options);
    const auto own = scheduler(options);
    auto evaluations = own->start(*options.num_inference_steps)->evaluations();
    if (options.denoising_start && !own->starts_later())
        usage_error("denoising_start is given, but {} cannot start at a later step; choose another scheduler",
                    own->name());
    auto all = stages(evaluations, {options.denoising_start, options.denoising_end});
    if (all.empty())
        usage_error("{} steps have none from {} to {} of the way (denoising_start, denoising_end)",
                    *options.num_inference_steps, options.denoising_start.value_or(0),
                    options.denoising_end.value_or(1));
    return {shape(options), std::move(evaluations), std::move(all)};
}

std::vector<Stage> DiffusionPipeline::stages(const std::vector<Evaluation>& evaluations,
                                             const DenoisingPart& part) const {
    constexpr int kTrainTimesteps = 1000;  // every scheduler's default
    std::vector<double> down_to;
    for (const NamedDenoiser& each : parts_.denoisers) down_to.push_back(each.down_to);
    const int trained = part.start || part.end
                            ? source()->config("scheduler").get_or("num_train_timesteps", kTrainTimesteps)
                            : kTrainTimesteps;
    return stages_of(evaluations, range_of(evaluations, part, trained), down_to);
}

Tensor DiffusionPipeline::Ingredients::first_latents(const Sampler& sampler) const {
    return latents.defined() ? latents.clone() : pipelines::first_latents(sampler, noise);
}

RunShape DiffusionPipeline::any_shape() const {
    constexpr std::int64_t kSide = 64;  // of latents: every depth of a UNet divides it
    const models::DenoiserTraits traits = denoiser().model().traits();
    RunShape shape;
    shape.height = traits.sample_height > 0 ? traits.sample_height : kSide;
    shape.width = traits.sample_width > 0 ? traits.sample_width : kSide;
    shape.text_tokens = parts_.default_text_tokens;
    shape.frames = traits.frames;
    return shape;
}

DiffusionPipeline::Outlook DiffusionPipeline::any_outlook(const GenerateOptions& asked) const {
    const GenerateOptions options = with_defaults(asked);
    options::check_values(options::generate_options(), &options);
    const int steps = *options.num_inference_steps;
    const models::DenoiserTraits traits = denoiser().model().traits();
    Outlook result{any_shape(), {}, {}};
    result.shape.guidance = *options.guidance_scale > 1;
    result.shape.mode = options.guidance_mode;
    if (options.height > 0 || options.width > 0 || (traits.sample_height > 0 && traits.sample_width > 0))
        result.shape = shape(options);
    std::unique_ptr<Scheduler> known;
    try {
        known = scheduler(options);
    } catch (const Error&) {
        if (!options.scheduler.empty()) throw;
    }
    if (known)
        result.evaluations = known->start(steps)->evaluations();
    else
        for (int step = 0; step < steps; ++step) result.evaluations.push_back({step, 0});
    result.stages = stages(result.evaluations, {});
    return result;
}

void DiffusionPipeline::refuse_unhonoured(const GenerateOptions& options) const {
    options::refuse_unhonoured(options, with_defaults({}), source()->class_name(),
                               [this](options::About about) { return honours(about); });
}

namespace {

std::vector<std::string_view> names_of(const std::vector<models::Axis>& axes) {
    const bool has_frames = std::find(axes.begin(), axes.end(), models::Axis::frames) != axes.end();
    std::vector<std::string_view> names;
    for (const models::Axis axis : axes) {
        constexpr std::string_view kNames[] = {"pictures", "frames", "channels", "height", "width"};
        const bool videos = has_frames && axis == models::Axis::pictures;
        names.push_back(videos ? "videos" : kNames[static_cast<std::size_t>(axis)]);
    }
    return names;
}

}  // namespace

void DiffusionPipeline::check_part(const GenerateOptions& options) const {
    const auto check_share = [&](const char* name, const std::optional<double>& share) {
        if (!share) return;
        if (!(*share > 0 && *share < 1))
            usage_error("{} is {}; expected a number above 0 and below 1", name, *share);
    };
    check_share("denoising_start", options.denoising_start);
    check_share("denoising_end", options.denoising_end);
    if (options.denoising_start && options.denoising_end &&
        *options.denoising_start >= *options.denoising_end)
        usage_error("denoising_start is {} and denoising_end is {}; expected the start before the end",
                    *options.denoising_start, *options.denoising_end);
    if (!options.start_latents.defined()) return;
    if (options.latents.defined())
        usage_error("both start_latents and latents, which are noise, are given; give one of them");
}

namespace {

Shape latents_of(const models::DenoiserTraits& traits, const RunShape& run, std::int64_t count) {
    return traits.latents({count, run.height, run.width, run.text_tokens, run.frames});
}

}  // namespace

Tensor DiffusionPipeline::started(const GenerateOptions& options, const RunShape& run,
                                  std::int64_t count) const {
    const Shape shape = latents_of(denoiser().model().traits(), run, count);
    const Tensor& given = options.start_latents;
    Shape expected = shape;
    if (!given.shape().empty() && given.dim(0) > 0 && shape[0] % given.dim(0) == 0)
        expected[0] = given.dim(0);
    if (given.shape() != expected)
        usage_error("start_latents have shape {}, expected {}", to_string(given.shape()),
                    to_string(expected));
    if (!is_floating(given.type())) usage_error("start_latents hold {}, expected f32", name_of(given.type()));
    if (!is_finite(given)) usage_error("start_latents have values that are not finite");
    const Tensor rows = given.to(DType::f32);
    Tensor result(DType::f32, shape);
    for (std::size_t at = 0; at < result.bytes(); at += rows.bytes())
        std::memcpy(static_cast<std::byte*>(result.data()) + at, rows.data(), rows.bytes());
    return result;
}

Tensor DiffusionPipeline::noise(const GenerateOptions& options, const RunShape& run, std::int64_t count,
                                Generator& generator) const {
    const models::DenoiserTraits traits = denoiser().model().traits();
    const Shape shape = latents_of(traits, run, count);
    if (!options.latents.defined()) return generator.randn(shape);
    if (options.latents.shape() != shape)
        usage_error("the latents given have shape {}, expected {} ({})", to_string(options.latents.shape()),
                    to_string(shape), fmt::join(names_of(traits.axes), ", "));
    if (!is_floating(options.latents.type()))
        usage_error("the latents given hold {}, expected f32", name_of(options.latents.type()));
    if (!is_finite(options.latents)) usage_error("the latents given have values that are not finite");
    return options.latents.to(DType::f32).clone();
}

namespace {

HeldCode held_code() {
    const auto held = backends::Store::of_process().held();
    return {held.count, held.footprint.bytes, held.footprint.mappings, held.in_use.bytes};
}

std::string prediction_of(std::size_t halves, std::size_t half) {
    if (halves == 1) return "the denoiser's prediction";
    return fmt::format("the denoiser's {} prediction", half == 0 ? "unconditional" : "conditional");
}

/// Says what is not finite at a step, counted from 0, and what was seen before.
[[noreturn]] void refuse(const Tensor& tensor, const std::string& what, int step, int num_steps,
                         const DenoiserRun& run) {
    const auto complaints = run.complaints();
    check_finite(tensor,
                 fmt::format("{}{} at step {} of {}", complaints.empty() ? "" : complaints.front() + "; ",
                             what, step, num_steps));
    failure("{} at step {} is not finite", what, step);  // not reached
}

}  // namespace

DiffusionPipeline::Ingredients DiffusionPipeline::asked_of(Ingredients start) {
    const auto& only = start.options.only_picture;
    if (!only) return start;
    const std::int64_t row = *only, count = static_cast<std::int64_t>(start.pictures.size());
    if (row >= count)
        usage_error("only_picture is {}, expected 0 to {}: the options ask for {} picture{}", row, count - 1,
                    count, count == 1 ? "" : "s");
    start.pictures = {std::move(start.pictures[static_cast<std::size_t>(row)])};
    for (Tensor* rows : {&start.noise, &start.latents})
        if (rows->defined()) *rows = rows->rows(row, row + 1).clone();
    start.generator.take_row(row, count);
    return start;
}

GenerateOutput DiffusionPipeline::operator()(const GenerateOptions& asked, const Watch* watch) {
    GenerateOutput output;
    RunReport& report = output.report;
    Messages messages(hears(asked));
    GenerateOptions options = asked;
    options.on_message = [&messages](const Message& message) { messages.add(message); };
    auto begin = Clock::now();
    Ingredients start = ingredients(options);
    report.text_seconds = seconds_since(begin);
    output.latents = denoise(start, watch, report);
    if (start.options.decode) {
        phase(start.options, "decode");
        begin = Clock::now();
        for (std::int64_t row = 0; row < output.latents.dim(0); ++row) {
            Caller(options).check_stop();
            auto images = decode(output.latents.rows(row, row + 1), start.options);
            std::move(images.begin(), images.end(), std::back_inserter(output.images));
        }
        report.decode_seconds = seconds_since(begin);
    }
    report.held = held_code();
    report.messages = messages.all();
    keep_report(report);
    return output;
}

namespace {

/// What reuse follows badly of a run.
void advise_on(const Scheduler& scheduler, int num_steps, const Caller& caller) {
    if (scheduler.stochastic())
        caller.warn(fmt::format(
            "{} adds noise at every step, which reuse follows badly; euler or dpm++2m suit it better",
            scheduler.name()));
    if (num_steps < cachify::kFewSteps)
        caller.warn(fmt::format("{} steps leave little to reuse: neighbouring steps differ too much below {}",
                                num_steps, cachify::kFewSteps));
}

/// Of many pictures even the first step takes long: what all steps take is said as soon as it is known.
class FirstEstimate {
  public:
    FirstEstimate(const GenerateOptions& options, std::size_t pictures, std::size_t evaluations)
        : options_(options), pictures_(pictures), evaluations_(evaluations) {}

    /// What hears how many pictures are done at an evaluation; empty where nothing is to be said.
    std::function<void(std::size_t)> at(std::size_t evaluation) {
        constexpr std::size_t kManyPictures = 4;
        if (evaluation > 0 || pictures_ < kManyPictures) return {};
        return [this](std::size_t done) {
            if (done == 1) first_done_ = Clock::now();  // which also warms up
            if (done != 2 || !options_.on_phase) return;
            const double all = seconds_since(first_done_) * static_cast<double>(pictures_) *
                               static_cast<double>(evaluations_);
            options_.on_phase(
                fmt::format("denoise {} pictures, about {} in full", pictures_, human_seconds(all)));
        };
    }

  private:
    const GenerateOptions& options_;
    std::size_t pictures_, evaluations_;
    Clock::time_point first_done_;
};

/// Gives the callback the step, and takes from it what it changed. Whether the loop goes on.
bool call_back(const GenerateOptions& options, StepInfo& info, Tensor& latents) {
    info.latents = latents;
    if (options.callback_on_step_end && !options.callback_on_step_end(info))
        throw Error(ErrorKind::cancelled,
                    fmt::format("stopped after step {} of {}", info.step + 1, info.num_steps));
    if (info.latents.type() != DType::f32 || info.latents.shape() != latents.shape())
        usage_error("callback_on_step_end put latents of {} {} in the place of f32 {}",
                    name_of(info.latents.type()), to_string(info.latents.shape()),
                    to_string(latents.shape()));
    latents = info.latents;
    return !info.last;
}

}  // namespace

Tensor DiffusionPipeline::denoise(Ingredients& start, const Watch* watch, RunReport& report) const {
    const GenerateOptions& options = start.options;
    const Scheduler& scheduler = *start.scheduler;
    const auto sampler = scheduler.start(*options.num_inference_steps);
    const auto& evaluations = sampler->evaluations();
    const EvaluationRange range = start.ahead.range();
    report.scheduler = scheduler.name();
    report.precision = name_of(parts_.engine.options.precision);

    StagedRun staged(*this, start, watch, report);
    const Caller caller(options);
    if (staged.reuses()) advise_on(scheduler, start.ahead.num_steps(), caller);
    staged.begin();

    auto step_begin = Clock::now();
    StepInfo info;
    info.num_steps = sampler->num_steps();
    double share = 0;
    FirstEstimate estimate(options, start.pictures.size(), range.size());
    SamplingHooks hooks;
    hooks.predict = [&](std::size_t e, const Tensor& input) {
        caller.check_stop();
        const auto halves = staged.evaluate(e, input, estimate.at(e - range.first));
        const DenoiserRun& run = staged.run();
        for (std::size_t h = 0; h < halves.size(); ++h)
            if (!is_finite(halves[h]))
                refuse(halves[h], prediction_of(halves.size(), h), evaluations[e].step, info.num_steps, run);
        share += run.flops_share();
        if (run.reused()) {
            info.reused = true;
            info.reused_modules = run.reused_modules();
        }
        return start.guide(halves);
    };
    hooks.before_step = [&](const SampledStep&, Tensor&) { step_begin = Clock::now(); };
    hooks.after_evaluation = [&](std::size_t e, const Tensor& latents) {
        if (!is_finite(latents))
            refuse(latents, fmt::format("what {} made of the denoiser's prediction", scheduler.name()),
                   evaluations[e].step, info.num_steps, staged.run());
    };
    hooks.after_step = [&](const SampledStep& step, Tensor& latents) {
        info.step = step.step;
        info.timestep = evaluations[step.first].timestep;
        info.seconds = seconds_since(step_begin);
        info.flops_share = share / static_cast<double>(step.end - step.first);
        report.steps.push_back(info);
        const bool goes_on = call_back(options, info, latents);
        info.latents = {};
        info.reused = false;
        info.reused_modules.clear();
        share = 0;
        return goes_on;
    };
    const Tensor latents = sample(*sampler, start.first_latents(*sampler), &start.generator, hooks, range);
    staged.end();
    return latents;
}

void DiffusionPipeline::keep_report(const RunReport& report) {
    const std::scoped_lock lock(mutex_);
    last_report_ = report;
}

RunReport DiffusionPipeline::last_report() const {
    const std::scoped_lock lock(mutex_);
    return last_report_;
}

void DiffusionPipeline::forget_report() {
    const std::scoped_lock lock(mutex_);
    last_report_ = {};
}

}  // namespace reprise::pipelines
