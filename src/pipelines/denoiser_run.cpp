#include "pipelines/denoiser_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>

#include "core/machine.h"
#include "core/quantities.h"
#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

/// Tensors of equal shape joined along the first dimension.
Tensor joined(const Tensor& a, const Tensor& b) {
    Shape shape = a.shape();
    shape[0] += b.dim(0);
    Tensor result(a.type(), shape);
    std::memcpy(result.data(), a.data(), a.bytes());
    std::memcpy(static_cast<std::byte*>(result.data()) + a.bytes(), b.data(), b.bytes());
    return result;
}

/// What a graph is given once for both halves of guidance as one batch.
Tensor joined(const graph::InputAttrs& input, const Tensor& a, const Tensor& b) {
    return input.per_half ? joined(a, b) : a;
}

/// Usage error for more pictures than fit into memory together, of which `there` are there already.
void check_fits(std::size_t pictures, double bytes_of_one, std::size_t there) {
    const double all = bytes_of_one * static_cast<double>(pictures - there);
    const auto available = machine::available_bytes();
    if (available && all > *available)
        usage_error("{} pictures at once take at least {}, {} are free; draw fewer at a time", pictures,
                    human_bytes(all), human_bytes(*available));
}

/// What the plan of a picture says that it takes: each has kept values of its own.
double bytes_of(const cachify::Plan& plan) {
    auto bytes = static_cast<double>(plan.program.kept_bytes() + plan.program.prologue_bytes());
    for (const graph::NodeId id : plan.extended.graph.inputs) {
        const auto& input = plan.extended.graph[id];
        bytes += static_cast<double>(element_count(input.shape)) * static_cast<double>(size_of(input.type));
    }
    return bytes;
}

void check_memory(const std::vector<PictureRun>& runs) {
    if (runs.size() < 2) return;
    double all = 0;
    for (const PictureRun& run : runs) all += bytes_of(run.executor->plan());
    check_fits(runs.size(), all / static_cast<double>(runs.size()), 0);
}

}  // namespace

/// What a picture asked the denoiser for at an evaluation.
struct DenoiserRun::Asked {
    std::vector<Tensor> predictions;  ///< by branch, there after the queue was waited for
    int decision = 0, mode = 0;
    bool begins_step = false;
};

DenoiserRun::DenoiserRun(const models::Denoiser& denoiser, std::vector<PictureRun> runs,
                         const RunRequest& request, const std::vector<Branches>& pictures)
    : denoiser_(&denoiser),
      runs_(std::move(runs)),
      halves_(pictures.front().size()),
      evaluations_(request.evaluations),
      reuse_(request.ways.reuses()),
      stop_(request.caller.stop),
      modes_(pictures.size(), 0) {
    const graph::Graph& graph = plan().extended.graph;
    for (std::size_t i = 0; i < graph.inputs.size(); ++i)
        if (graph.input(i).when == graph::When::step) step_inputs_.push_back(i);
    check_memory(runs_);
    const std::shared_ptr<backends::Queue> queue = runs_.front().executor->engine().queue();
    std::map<const cachify::Executor*, std::shared_ptr<cachify::Workspace>> workspaces;
    for (const PictureRun& run : runs_) {
        auto& workspace = workspaces[run.executor.get()];
        if (!workspace) workspace = std::make_shared<cachify::Workspace>(run.executor, queue);
        workspaces_.push_back(workspace);
    }
    // What a picture takes with its requests is known from some of them alone, after the first, which take
    // what all share.
    constexpr std::size_t kFirstPictures = 64;
    std::optional<double> before;
    if (pictures.size() > kFirstPictures) request.phase(fmt::format("set up {} pictures", pictures.size()));
    for (const Branches& branches : pictures) {
        const std::size_t there = generations_.size();
        if (there == kFirstPictures) before = machine::resident_bytes();
        if (there == 2 * kFirstPictures && before)
            check_fits(pictures.size(), (*machine::resident_bytes() - *before) / kFirstPictures, there);
        request.caller.check_stop();
        add_picture(branches);
    }
}

/// Binds what guides a picture, and runs its prologues.
void DenoiserRun::add_picture(const Branches& branches) {
    const std::size_t picture = generations_.size();
    const cachify::Plan& own = plan(picture);
    auto& generation = generations_.emplace_back(workspaces_[picture], reuse_, stop_);
    memories_.emplace_back(own.schedule);
    if (reuse_ && own.schedule.decision) {
        deciders_.emplace_back(*own.schedule.decision, own.schedule.num_steps, picture);
        measures_.emplace_back(queue());
    }
    std::vector<models::NamedTensors> fixed;
    for (const models::Conditioning& half : branches) fixed.push_back(denoiser_->fixed_inputs(half));
    const graph::Graph& graph = own.extended.graph;
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
        const graph::InputAttrs& input = graph.input(i);
        if (input.when != graph::When::fixed) continue;
        const auto of_half = [&](std::size_t half) { return models::given(fixed[half], input.name); };
        if (is_two_in_one(picture)) {
            generation.bind(0, i, joined(input, of_half(0), of_half(1)));
            continue;
        }
        for (std::size_t half = 0; half < halves_; ++half)
            generation.bind(static_cast<int>(half), i, of_half(half));
    }
    generation.begin();
}

/// The mode of a step that has none yet, unless that needs the plan's probe.
std::optional<int> DenoiserRun::mode_without_probe(std::size_t picture, int step, const Tensor& own) {
    const cachify::Schedule& schedule = plan(picture).schedule;
    if (!reuse_ || schedule.num_modes == 1) return 0;
    if (!deciders_.empty()) {
        if (plan(picture).extended.num_probes > 0) return {};
        return decided(picture, step, {}, own, 0);
    }
    const auto open = schedule.modes_at(step);
    const int mode = choose_ ? choose_(picture, step) : 0;
    if (std::find(open.begin(), open.end(), mode) == open.end())
        failure("mode {} was chosen for step {}, which it is not for", mode, step);
    return mode;
}

int DenoiserRun::decided(std::size_t picture, int step, const std::vector<backends::Value>& probe,
                         const Tensor& own, std::size_t branch) {
    const bool allowed = plan(picture).schedule.modes_at(step).size() > 1;
    backends::Value looked_at = probe.empty() ? backends::Value() : probe.front();
    // of two halves in one batch the unconditional one, so that both ways of guidance decide alike
    if (looked_at.defined() && is_two_in_one(picture))
        looked_at = queue().rows(looked_at, 0, looked_at.shape()[0] / 2);
    cachify::ValueMeasure& seen = measures_[picture];
    seen.show(cachify::Seen::probe, looked_at);
    seen.show(cachify::Seen::sample, backends::Value(own));
    return deciders_[picture].reuses(step, allowed, seen, branch) ? 1 : 0;
}

DenoiserRun::Asked DenoiserRun::ask(std::size_t picture, const Tensor& own) {
    const int step = evaluations_[next_].step;
    Asked asked;
    asked.begins_step = next_ == 0 || evaluations_[next_ - 1].step != step;
    std::optional<int> mode = asked.begins_step ? mode_without_probe(picture, step, own) : modes_[picture];
    const bool two_in_one = is_two_in_one(picture);
    cachify::Generation& generation = generations_[picture];
    asked.predictions.resize(two_in_one ? 1 : halves_);
    while (const cachify::Execution* now = generation.next()) {
        if (now->evaluation != static_cast<int>(next_)) break;
        if (stop_.stop_requested()) throw Error(ErrorKind::cancelled, "stopped");
        asked.decision = now->decision;
        const auto b = static_cast<std::size_t>(now->branch);
        const auto inputs =
            denoiser_->step_inputs(two_in_one ? joined(own, own) : own.clone(), evaluations_[next_].timestep);
        for (std::size_t i = 0; i < inputs.size(); ++i)
            generation.bind(now->branch, step_inputs_.at(i), inputs[i]);
        if (!mode) mode = decided(picture, step, generation.probe(), own, b);
        const auto outputs = generation.run(*mode);
        if (outputs.empty()) continue;
        const backends::Value& output = outputs.front();
        asked.predictions[b] = Tensor(output.type(), output.shape());
        queue().read(output, asked.predictions[b]);
        if (runs_[picture].watched)
            runs_[picture].watched->show({step,
                                          static_cast<int>(b),
                                          {},
                                          {},
                                          two_in_one ? joined(own, own) : own,
                                          asked.predictions[b]},
                                         generation.to_host(outputs));
        account(picture, generation.position());
    }
    asked.mode = modes_[picture] = *mode;
    return asked;
}

/// The predictions of the halves, once they are there.
std::vector<Tensor> DenoiserRun::predictions_of(std::size_t picture, Asked asked) {
    auto& predictions = asked.predictions;
    if (picture == 0 && plan().schedule.num_branches == 2)
        for (std::size_t b = 0; b < 2; ++b)
            if (!predictions[b].defined()) note_reused(b == 0 ? "unconditional" : "conditional");
    if (is_two_in_one(picture))
        predictions = {predictions[0].rows(0, 1), predictions[0].rows(1, 2)};
    else if (reuse_)
        memories_[picture].complete(predictions, static_cast<int>(next_), asked.decision, asked.mode);
    if (!deciders_.empty() && asked.begins_step) {
        measures_[picture].show(cachify::Seen::prediction, backends::Value(predictions.front()));
        deciders_[picture].gave(measures_[picture]);
    }
    return predictions;
}

void DenoiserRun::skip() {
    for (auto& generation : generations_)
        for (const auto* now = generation.next();
             now != nullptr && now->evaluation == static_cast<int>(next_); now = generation.next())
            generation.skip();
    ++next_;
}

void DenoiserRun::restart() {
    next_ = 0;
    flops_run_ = 0;
    for (std::size_t p = 0; p < generations_.size(); ++p) {
        generations_[p].restart();
        const cachify::Schedule& schedule = plan(p).schedule;
        memories_[p] = cachify::BranchMemory(schedule);
        if (deciders_.empty()) continue;
        deciders_[p] = cachify::Decider(*schedule.decision, schedule.num_steps, p);
        measures_[p] = cachify::ValueMeasure(queue());
    }
}

std::vector<Tensor> DenoiserRun::evaluate(const Tensor& sample,
                                          const std::function<void(std::size_t)>& on_picture) {
    std::vector<Tensor> predictions;
    flops_share_ = 0;
    reused_modules_.clear();
    std::vector<Asked> asked;
    for (std::size_t p = 0; p < generations_.size(); ++p) {
        const auto row = static_cast<std::int64_t>(p);
        asked.push_back(ask(p, sample.rows(row, row + 1)));
        if (on_picture) on_picture(p + 1);
    }
    queue().wait();
    for (std::size_t p = 0; p < generations_.size(); ++p) {
        const auto row = static_cast<std::int64_t>(p);
        const auto own = predictions_of(p, std::move(asked[p]));
        for (std::size_t h = 0; h < own.size(); ++h) {
            if (h == predictions.size()) predictions.emplace_back(own[h].type(), sample.shape());
            std::memcpy(predictions[h].rows(row, row + 1).data(), own[h].data(), own[h].bytes());
        }
    }
    ++next_;
    return predictions;
}

/// Notes what an execution cost; steps are told of as the first picture's were.
void DenoiserRun::account(std::size_t picture, std::size_t execution) {
    const cachify::Plan& made = plan(picture);
    const double full = runs_[picture].full_flops;
    const double flops = reuse_ ? made.cost_of_execution(execution).flops : full;
    flops_run_ += flops / static_cast<double>(generations_.size());
    if (picture > 0) return;
    const auto branches = static_cast<double>(made.schedule.num_branches);
    flops_share_ += full == 0 ? 1 / branches : flops / (full * branches);
    for (std::size_t r = 0; reuse_ && r < made.schedule.rules.size(); ++r)
        if (made.analysis.is_reused(made.extended, made.schedule, execution, r))
            note_reused(
                made.extended.graph.modules[static_cast<std::size_t>(made.schedule.rules[r].module)].name);
}

void DenoiserRun::note_reused(std::string_view name) {
    if (std::find(reused_modules_.begin(), reused_modules_.end(), name) == reused_modules_.end())
        reused_modules_.emplace_back(name);
}

std::vector<std::vector<int>> DenoiserRun::decisions() const {
    std::vector<std::vector<int>> steps;
    for (const auto& decider : deciders_) steps.push_back(decider.reused());
    return steps;
}

std::size_t DenoiserRun::branch_bytes() const {
    return memories_.front().kept_bytes();
}

std::vector<std::string> DenoiserRun::complaints() const {
    std::vector<std::string> all;
    for (const auto& generation : generations_)
        all.insert(all.end(), generation.complaints().begin(), generation.complaints().end());
    return all;
}

}  // namespace reprise::pipelines
