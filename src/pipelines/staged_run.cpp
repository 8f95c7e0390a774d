#include "pipelines/staged_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "cachify/policies.h"

namespace reprise::pipelines {

namespace {

using Clock = std::chrono::steady_clock;

/// A run, of which these steps were made.
std::string summary(const DenoiserRun& run, std::span<const StepInfo> steps, double flops_full,
                    std::size_t kept_bytes) {
    if (!run.reuse()) return fmt::format("{} steps in full, nothing reused", steps.size());
    const auto reused = std::count_if(steps.begin(), steps.end(), [](const auto& s) { return s.reused; });
    const auto kilobytes = static_cast<double>(kept_bytes) / 1e3;
    const std::size_t rules = run.plan().schedule.rules.size();
    return fmt::format(
        "reused {} module{} at {} of {} steps: {:.0f} % of the denoiser's work saved, {} kept", rules,
        rules == 1 ? "" : "s", reused, steps.size(), 100 * (1 - run.flops_run() / std::max(1.0, flops_full)),
        kilobytes < 100 ? fmt::format("{:.1f} kB", kilobytes) : fmt::format("{:.1f} MB", kilobytes / 1e3));
}

}  // namespace

StagedRun::StagedRun(const DiffusionPipeline& pipe, const DiffusionPipeline::Ingredients& start,
                     const Watch* watch, RunReport& report)
    : pipe_(pipe), start_(start), report_(report) {
    const auto& stages = start.ahead.stages;
    for (std::size_t i = 0; i < stages.size(); ++i) {
        RunRequest& request = requests_.emplace_back(pipe.request(start.options, start.ahead, i));
        if (watch != nullptr) {
            request.ways = {};
            request.watch = *watch;
        }
        if (i > 0) pipe.denoiser(stages[i].denoiser).plan(request);
    }
}

bool StagedRun::reuses() const {
    return std::any_of(requests_.begin(), requests_.end(),
                       [](const RunRequest& request) { return request.ways.reuses(); });
}

void StagedRun::enter(std::size_t stage) {
    const auto begin = Clock::now();
    stage_ = stage;
    made_ = 0;
    first_step_ = report_.steps.size();
    run_.emplace(
        pipe_.denoiser(start_.ahead.stages[stage].denoiser).start(requests_[stage], start_.pictures));
    report_.compile_seconds += seconds_since(begin);
    if (start_.options.on_phase) start_.options.on_phase("denoise");
    begun_ = process_time();
}

std::vector<Tensor> StagedRun::evaluate(std::size_t evaluation, const Tensor& input,
                                        const std::function<void(std::size_t)>& on_picture) {
    if (evaluation == start_.ahead.stages[stage_].range.end) {
        end();
        enter(stage_ + 1);
    }
    ++made_;
    return run_->evaluate(input, on_picture);
}

void StagedRun::end() {
    const ProcessTime used = process_time() - begun_;
    report_.denoise_seconds += used.wall;
    report_.denoise_cpu_seconds += used.cpu;
    report_.denoise_waited_seconds += std::max(0.0, used.waited);
    describe();
    const Caller& caller = requests_[stage_].caller;
    for (const std::string& complaint : run_->complaints())
        caller.warn(complaint +
                    ": everything that reuses it is lost; try --precision f32 or check "
                    "the weights");
    if (run_->reuse())
        if (const auto advice = cachify::advice_after(run_->plan().schedule, run_->decisions());
            !advice.empty())
            caller.warn(advice);
    run_.reset();
    pipe_.denoiser(start_.ahead.stages[stage_].denoiser).release_beyond(pipe_.load_options().memory_limit);
}

void StagedRun::describe() {
    const cachify::Plan& plan = run_->plan();
    const cachify::Program& program = run_->reuse() ? plan.program : plan.full_program;
    const double flops_full = plan.cost_of_full().flops * static_cast<double>(plan.schedule.num_branches) *
                              static_cast<double>(made_);
    const std::size_t kept = program.kept_bytes() + run_->branch_bytes();
    report_.guidance_mode = run_->mode();
    report_.reuse |= run_->reuse();
    report_.segments += plan.segments.size();
    report_.flops_full += flops_full;
    report_.flops_run += run_->flops_run();
    report_.kept_bytes = std::max(report_.kept_bytes, kept);
    report_.prologue_bytes = std::max(report_.prologue_bytes, program.prologue_bytes());
    report_.scratch_bytes = std::max(report_.scratch_bytes, program.scratch_bytes());
    const auto complaints = run_->complaints();
    report_.complaints.insert(report_.complaints.end(), complaints.begin(), complaints.end());
    const std::string text =
        summary(*run_, std::span<const StepInfo>(report_.steps).subspan(first_step_), flops_full, kept);
    if (requests_.size() == 1) {
        report_.summary = text;
        report_.decisions = run_->decisions();
        return;
    }
    const Stage& stage = start_.ahead.stages[stage_];
    const std::string& name = pipe_.denoisers()[stage.denoiser].name;
    report_.summary += (report_.summary.empty() ? "" : "; ") + name + ": " + text;
    report_.stages.push_back(
        {name, start_.ahead.evaluations[stage.range.first].step, text, run_->decisions()});
}

}  // namespace reprise::pipelines
