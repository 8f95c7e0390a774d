#include "pipelines/diffusion_pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "cachify/policies.h"
#include "core/finite.h"
#include "core/process_time.h"
#include "core/quantities.h"
#include "options/honours.h"
#include "pipelines/as_loaded.h"
#include "pipelines/component.h"
#include "pipelines/identity.h"
#include "pipelines/policy_view.h"
#include "pipelines/sampling_loop.h"
#include "reprise/error.h"
#include "schedulers/registry.h"

namespace reprise::pipelines {

using Clock = std::chrono::steady_clock;

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

DiffusionPipeline::DiffusionPipeline(PipelineParts parts) : parts_(std::move(parts)) {
    if (!folder().has("scheduler")) return;
    const Config config = folder().config("scheduler");
    warn_of_unknown_keys(config.json, config.file);
}

cachify::DenoiserIdentity DiffusionPipeline::identity() const {
    std::call_once(identity_made_, [&] { identity_ = denoiser_identity(folder(), load_options().variant); });
    return identity_;
}

const graph::Graph& DiffusionPipeline::structure() const {
    std::call_once(structure_made_, [&] { structure_ = denoiser().structure(any_shape()); });
    return structure_;
}

RunRequest DiffusionPipeline::request(const GenerateOptions& options, const Outlook& ahead) const {
    GenerateOptions heard = options;
    heard.on_message = hears(options);
    return {ahead.shape, ahead.evaluations, ways_of(*this, heard), {}, Caller(heard), options.on_phase};
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
    return scheduler_as_loaded(folder(), options.scheduler);
}

DiffusionPipeline::Outlook DiffusionPipeline::outlook(const GenerateOptions& asked) const {
    const GenerateOptions options = with_defaults(asked);
    options::check_values(options::generate_options(), &options);
    refuse_unhonoured(options);
    check(options);
    return {shape(options), scheduler(options)->start(*options.num_inference_steps)->evaluations()};
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
    Outlook result{any_shape(), {}};
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
    return result;
}

void DiffusionPipeline::refuse_unhonoured(const GenerateOptions& options) const {
    options::refuse_unhonoured(options, with_defaults({}), folder().class_name(),
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

Tensor DiffusionPipeline::noise(const GenerateOptions& options, const RunShape& run, std::int64_t count,
                                Generator& generator) const {
    const models::DenoiserTraits traits = denoiser().model().traits();
    const Shape shape = traits.latents({count, run.height, run.width, run.text_tokens, run.frames});
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

std::string summary(const RunReport& report, const cachify::Plan& plan) {
    if (!report.reuse) return fmt::format("{} steps in full, nothing reused", report.steps.size());
    const auto reused =
        std::count_if(report.steps.begin(), report.steps.end(), [](const auto& s) { return s.reused; });
    const auto kilobytes = static_cast<double>(report.kept_bytes) / 1e3;
    return fmt::format(
        "reused {} module{} at {} of {} steps: {:.0f} % of the denoiser's work saved, {} kept",
        plan.schedule.rules.size(), plan.schedule.rules.size() == 1 ? "" : "s", reused, report.steps.size(),
        100 * (1 - report.flops_run / std::max(1.0, report.flops_full)),
        kilobytes < 100 ? fmt::format("{:.1f} kB", kilobytes) : fmt::format("{:.1f} MB", kilobytes / 1e3));
}

void describe(const DenoiserRun& run, std::size_t evaluations, RunReport& report) {
    const cachify::Plan& plan = run.plan();
    const auto branches = static_cast<double>(plan.schedule.num_branches);
    report.guidance_mode = run.mode();
    report.reuse = run.reuse();
    report.segments = plan.segments.size();
    report.flops_full = plan.cost_of_full().flops * branches * static_cast<double>(evaluations);
    report.flops_run = run.flops_run();
    const cachify::Program& program = run.reuse() ? plan.program : plan.full_program;
    report.kept_bytes = program.kept_bytes() + run.branch_bytes();
    report.prologue_bytes = program.prologue_bytes();
    report.scratch_bytes = program.scratch_bytes();
    report.decisions = run.decisions();
    report.complaints = run.complaints();
    report.summary = summary(report, plan);
}

}  // namespace

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
    denoiser().release_beyond(load_options().memory_limit);
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
    RunRequest request = this->request(options, {start.ahead.shape, evaluations});
    if (watch != nullptr) {
        request.ways = {};
        request.watch = *watch;
    }
    if (request.ways.reuses()) advise_on(scheduler, sampler->num_steps(), request.caller);
    report.scheduler = scheduler.name();
    report.precision = name_of(parts_.engine.options.precision);

    auto begin = Clock::now();
    DenoiserRun run = denoiser().start(request, start.pictures);
    report.compile_seconds = seconds_since(begin);

    phase(options, "denoise");
    const ProcessTime before = process_time();
    auto step_begin = Clock::now();
    StepInfo info;
    info.num_steps = sampler->num_steps();
    double share = 0;
    std::size_t made = 0;  // evaluations
    FirstEstimate estimate(options, start.pictures.size(), evaluations.size());
    SamplingHooks hooks;
    hooks.predict = [&](std::size_t e, const Tensor& input) {
        request.caller.check_stop();
        const auto halves = run.evaluate(input, estimate.at(e));
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
    hooks.after_evaluation = [&](std::size_t e, const Tensor& latents) {
        if (!is_finite(latents))
            refuse(latents, fmt::format("what {} made of the denoiser's prediction", scheduler.name()),
                   evaluations[e].step, info.num_steps, run);
    };
    hooks.after_step = [&](const SampledStep& step, Tensor& latents) {
        info.step = step.step;
        info.timestep = evaluations[step.first].timestep;
        info.seconds = seconds_since(step_begin);
        info.flops_share = share / static_cast<double>(step.end - step.first);
        report.steps.push_back(info);
        made = step.end;
        const bool goes_on = call_back(options, info, latents);
        step_begin = Clock::now();
        info.latents = {};
        info.reused = false;
        info.reused_modules.clear();
        share = 0;
        return goes_on;
    };
    const Tensor latents = sample(*sampler, first_latents(*sampler, start.noise), &start.generator, hooks);
    const ProcessTime used = process_time() - before;
    report.denoise_seconds = used.wall;
    report.denoise_cpu_seconds = used.cpu;
    report.denoise_waited_seconds = std::max(0.0, used.waited);
    describe(run, made, report);
    for (const std::string& complaint : report.complaints)
        request.caller.warn(complaint +
                            ": everything that reuses it is lost; try --precision f32 or check "
                            "the weights");
    if (run.reuse())
        if (const auto advice = cachify::advice_after(run.plan().schedule, report.decisions); !advice.empty())
            request.caller.warn(advice);
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
