#include "pipelines/guided_denoiser.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "cachify/units.h"
#include "core/machine.h"
#include "core/quantities.h"
#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

using models::Conditioning;
using models::DenoiserShape;

/// Tensors of equal shape joined along the first dimension; undefined ones stay undefined.
Tensor joined(const Tensor& a, const Tensor& b) {
    if (!a.defined()) return a;
    Shape shape = a.shape();
    shape[0] += b.dim(0);
    Tensor result(a.type(), shape);
    std::memcpy(result.data(), a.data(), a.bytes());
    std::memcpy(static_cast<std::byte*>(result.data()) + a.bytes(), b.data(), b.bytes());
    return result;
}

Conditioning joined(const Conditioning& a, const Conditioning& b) {
    return {joined(a.encoder_hidden_states, b.encoder_hidden_states),
            joined(a.attention_mask, b.attention_mask), joined(a.text_embeds, b.text_embeds),
            joined(a.time_ids, b.time_ids), joined(a.image_latents, b.image_latents)};
}

std::vector<int> steps_of(const std::vector<Evaluation>& evaluations) {
    std::vector<int> steps;
    for (const Evaluation& evaluation : evaluations) steps.push_back(evaluation.step);
    return steps;
}

bool is_varying(const std::string& name) {
    return std::find(std::begin(models::kVaryingInputs), std::end(models::kVaryingInputs), name) !=
           std::end(models::kVaryingInputs);
}

bool about_guidance(const cachify::Entry& entry) {
    return cachify::is_about(entry, ModuleKind::guidance);
}

bool needs_two_passes(const cachify::Entry& entry) {
    return entry.store.rule == cachify::Store::Rule::mean || about_guidance(entry);
}

/// What is left of a configuration where there is no guidance: nothing of its halves, and of a mean over them
/// the one output.
cachify::Config without_guidance(cachify::Config config) {
    std::erase_if(config, about_guidance);
    for (auto& entry : config)
        if (entry.store.rule == cachify::Store::Rule::mean) entry.store.rule = cachify::Store::Rule::output;
    return config;
}

/// The entries of several configurations, one after the other, as these configurations again.
std::vector<cachify::Config> of_modes(const cachify::Config& all, const std::vector<cachify::Config>& modes) {
    std::vector<cachify::Config> result;
    auto entry = all.begin();
    for (const auto& mode : modes) {
        const auto end = entry + static_cast<std::ptrdiff_t>(mode.size());
        result.emplace_back(entry, end);
        entry = end;
    }
    return result;
}

double weight_bytes(const cachify::Plan& plan) {
    double bytes = 0;
    for (const auto& segment : plan.segments) bytes += segment.cost.weight_bytes;
    return bytes;
}

}  // namespace

GuidedDenoiser::GuidedDenoiser(std::string class_name, std::unique_ptr<models::Denoiser> denoiser,
                               std::shared_ptr<const WeightSource> weights, Engine engine)
    : class_name_(std::move(class_name)),
      denoiser_(std::move(denoiser)),
      weights_(std::move(weights)),
      engine_(std::move(engine)) {}

graph::Graph GuidedDenoiser::structure(const RunShape& shape) const {
    return denoiser_->build({1, shape.height, shape.width, shape.text_tokens, shape.frames},
                            engine_.options.precision, nullptr);
}

std::shared_ptr<const graph::Graph> GuidedDenoiser::graph(const DenoiserShape& shape) const {
    const auto known = std::find_if(graphs_.begin(), graphs_.end(),
                                    [&](const BuiltGraph& built) { return built.shape == shape; });
    if (known != graphs_.end()) {
        std::rotate(known, known + 1, graphs_.end());
        return graphs_.back().graph;
    }
    forget_freed();
    graphs_.push_back({shape, std::make_shared<const graph::Graph>(
                                  denoiser_->build(shape, engine_.options.precision, weights_.get()))});
    return graphs_.back().graph;
}

/// Forgets what was compiled and is held no more, and graphs that nothing is compiled of but the one used
/// last.
void GuidedDenoiser::forget_freed() const {
    std::erase_if(compiled_, [](const Compiled& known) { return known.pieces.expired(); });
    if (graphs_.empty()) return;
    const auto is_idle = [&](const BuiltGraph& built) {
        return std::none_of(compiled_.begin(), compiled_.end(),
                            [&](const Compiled& known) { return known.shape == built.shape; });
    };
    graphs_.erase(std::remove_if(graphs_.begin(), graphs_.end() - 1, is_idle), graphs_.end() - 1);
}

namespace {

DenoiserShape graph_shape(const GuidedDenoiser::RunShape& shape) {
    const bool batched = shape.guidance && shape.mode != GuidanceMode::split;
    return {batched ? 2 : 1, shape.height, shape.width, shape.text_tokens, shape.frames};
}

}  // namespace

bool GuidedDenoiser::wants_two_passes() const {
    if (!preparation) return false;
    const auto needs = [](const cachify::Config& config) {
        return std::any_of(config.begin(), config.end(), needs_two_passes);
    };
    return needs(preparation->config) ||
           std::any_of(preparation->modes.begin(), preparation->modes.end(), needs);
}

std::shared_ptr<const cachify::Plan> GuidedDenoiser::plan(const RunShape& asked,
                                                          const std::vector<Evaluation>& evaluations,
                                                          bool structure_only) const {
    const std::scoped_lock lock(mutex_);
    RunShape shape = asked;
    if (shape.mode == GuidanceMode::automatic && wants_two_passes()) shape.mode = GuidanceMode::split;
    const DenoiserShape wanted = graph_shape(shape);
    const auto built = structure_only ? nullptr : this->graph(wanted);
    const graph::Graph made = structure_only ? denoiser_->build(wanted, engine_.options.precision, nullptr)
                              : watch        ? WatchPoints(*built, *watch).exposed(*built)
                                             : graph::Graph{};
    const graph::Graph& own = structure_only || watch ? made : *built;
    const int branches = shape.guidance && shape.mode == GuidanceMode::split ? 2 : 1;
    cachify::PlanRequest request;
    request.varying_inputs.assign(std::begin(models::kVaryingInputs), std::end(models::kVaryingInputs));
    request.steps_of_evaluations = steps_of(evaluations);
    cachify::Config config;
    cachify::Count count = cachify::Count::steps;
    if (preparation) {
        config = shape.guidance ? preparation->config : without_guidance(preparation->config);
        count = preparation->count;
    }
    const int num_steps = count == cachify::Count::steps ? request.steps_of_evaluations.back() + 1
                                                         : static_cast<int>(evaluations.size());
    if (preparation)
        for (const auto& mode : preparation->modes) config.insert(config.end(), mode.begin(), mode.end());
    const auto planned = [&](const graph::Graph& graph, const cachify::Schedule& schedule) {
        auto plan = std::make_shared<const cachify::Plan>(cachify::make_plan(graph, schedule, request));
        for (const std::string& text : plan->advice) advise(text);
        return plan;
    };
    const auto units = cachify::with_units(own, config, models::kVaryingInputs[0]);
    const graph::Graph& graph = units ? units->graph : own;
    if (preparation && !preparation->modes.empty()) {
        const auto modes = of_modes(units ? units->config : config, preparation->modes);
        return planned(graph, cachify::make_schedule_of_modes(graph, modes, num_steps, branches));
    }
    const auto schedule =
        cachify::make_schedule(graph, units ? units->config : config, num_steps, branches, count);
    if (preparation && !preparation->is_nothing_by_choice)
        if (const auto advice = cachify::advice_on(preparation->config, schedule); !advice.empty())
            advise(advice);
    return planned(graph, schedule);
}

void GuidedDenoiser::advise(const std::string& text) const {
    const std::scoped_lock lock(mutex_);
    if (advised_.insert(text).second) spdlog::warn("{}", text);
}

void GuidedDenoiser::advise_anew() const {
    const std::scoped_lock lock(mutex_);
    advised_.clear();
}

std::shared_ptr<const cachify::Executor> GuidedDenoiser::executor(
    const RunShape& shape, const std::vector<Evaluation>& evaluations,
    const std::function<void(std::string_view)>& on_phase) const {
    const std::scoped_lock lock(mutex_);
    const DenoiserShape wanted = graph_shape(shape);
    auto made = plan(shape, evaluations, false);
    for (const auto& known : compiled_) {
        auto pieces = known.pieces.lock();
        if (!pieces || !(known.shape == wanted) || !cachify::same_cut(*known.plan, *made)) continue;
        store_.use(pieces);
        return std::make_shared<const cachify::Executor>(std::move(made), std::move(pieces));
    }
    const auto progress = [&](std::size_t done, std::size_t all) {
        weights_->release_pages();
        if (on_phase && done < all) on_phase(fmt::format("compile {}/{}", done + 1, all));
    };
    const auto pieces =
        store_.keep<cachify::Pieces>(cachify::Pieces::footprint(*made, *engine_.backend), [&] {
            if (on_phase) on_phase(fmt::format("compile 1/{}", made->segments.size()));
            return std::make_shared<const cachify::Pieces>(*made, *engine_.backend, engine_.options,
                                                           progress);
        });
    forget_freed();
    compiled_.push_back({wanted, made, pieces, weight_bytes(*made)});
    return std::make_shared<const cachify::Executor>(std::move(made), pieces);
}

void GuidedDenoiser::release_larger_than(std::int64_t parameters) const {
    const std::scoped_lock lock(mutex_);
    const double bytes =
        static_cast<double>(parameters) * static_cast<double>(size_of(engine_.options.precision));
    forget_freed();
    if (std::none_of(compiled_.begin(), compiled_.end(),
                     [&](const Compiled& known) { return known.weight_bytes > bytes; }))
        return;
    store_.clear();
    compiled_.clear();
    graphs_.clear();
}

/// Seconds of an evaluation in the shape's mode.
double GuidedDenoiser::time_mode(const std::shared_ptr<const cachify::Executor>& made, GuidanceMode mode,
                                 std::size_t evaluations) const {
    cachify::Generation generation(made, false);
    const graph::Graph& graph = made->plan().extended.graph;
    const int branches = mode == GuidanceMode::split ? 2 : 1;
    std::vector<Tensor> inputs;
    for (const graph::NodeId id : graph.inputs) inputs.emplace_back(graph[id].type, graph[id].shape);
    for (int b = 0; b < branches; ++b)
        for (std::size_t i = 0; i < inputs.size(); ++i) generation.bind(b, i, inputs[i]);
    generation.begin();
    const auto one_evaluation = [&] {
        const auto begin = std::chrono::steady_clock::now();
        for (int b = 0; b < branches; ++b) generation.run();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    double best = one_evaluation();  // the first also warms up
    for (std::size_t e = 1; e < std::min<std::size_t>(evaluations, 4); ++e)
        best = std::min(best, one_evaluation());
    return best;
}

GuidanceMode GuidedDenoiser::resolve(const RunShape& shape, const std::vector<Evaluation>& evaluations,
                                     const std::function<void(std::string_view)>& on_phase) const {
    // Compiling a large model twice costs more than the better mode can win back.
    constexpr double kTimedBytes = 3e8;
    const std::scoped_lock lock(mutex_);
    if (!shape.guidance) return GuidanceMode::batched;
    if (shape.mode != GuidanceMode::automatic) return shape.mode;
    if (wants_two_passes()) return GuidanceMode::split;
    RunShape split = shape;
    split.mode = GuidanceMode::split;
    for (const Timed& timed : timed_)
        if (timed.shape == graph_shape(split)) return timed.mode;
    GuidanceMode mode = GuidanceMode::split;
    if (weight_bytes(*plan(split, evaluations, true)) <= kTimedBytes) {
        if (on_phase) on_phase("time guidance");
        RunShape whole = shape;
        whole.mode = GuidanceMode::batched;
        const auto one = executor(whole, evaluations, on_phase);
        const auto two = executor(split, evaluations, on_phase);
        const double batched = time_mode(one, GuidanceMode::batched, evaluations.size());
        const double passes = time_mode(two, GuidanceMode::split, evaluations.size());
        mode = batched <= passes ? GuidanceMode::batched : GuidanceMode::split;
        store_.drop(mode == GuidanceMode::batched ? &two->pieces() : &one->pieces());
        spdlog::debug("guidance as one batch {:.2f} ms, as two passes {:.2f} ms", batched * 1e3,
                      passes * 1e3);
    }
    timed_.push_back({graph_shape(split), mode});
    return mode;
}

namespace {

/// Usage error for more pictures than fit into memory together, of which `there` are there already.
void check_fits(std::size_t pictures, double bytes_of_one, std::size_t there) {
    const double all = bytes_of_one * static_cast<double>(pictures - there);
    const auto available = machine::available_bytes();
    if (available && all > *available)
        usage_error("{} pictures at once take at least {}, {} are free; draw fewer at a time", pictures,
                    human_bytes(all), human_bytes(*available));
}

/// The same by what the plan says: each has slots of its own.
void check_memory(const cachify::Plan& plan, std::size_t pictures) {
    if (pictures < 2) return;
    double one = static_cast<double>(plan.program.kept_bytes() + plan.program.prologue_bytes() +
                                     plan.program.scratch_bytes());
    for (const graph::NodeId id : plan.extended.graph.inputs) {
        const auto& input = plan.extended.graph[id];
        one += static_cast<double>(element_count(input.shape)) * static_cast<double>(size_of(input.type));
    }
    check_fits(pictures, one, 0);
}

}  // namespace

GuidedDenoiser::Run GuidedDenoiser::start(const RunShape& shape, const std::vector<Evaluation>& evaluations,
                                          const std::vector<Branches>& pictures,
                                          const std::function<void(std::string_view)>& on_phase) const {
    if (watch && preparation) failure("a pipeline that reuses is to be watched; unprepare it first");
    RunShape resolved = shape;
    resolved.mode = resolve(shape, evaluations, on_phase);
    Run run;
    run.owner_ = this;
    run.executor_ = executor(resolved, evaluations, on_phase);
    run.evaluations_ = evaluations;
    run.mode_ = resolved.mode;
    run.reuse_ = reuses();
    if (watch) run.watched_.emplace(*this->graph(graph_shape(resolved)), *watch);
    run.full_flops_ = run.plan().cost_of_full().flops;
    check_memory(run.plan(), pictures.size());
    run.modes_.assign(pictures.size(), 0);
    const models::DenoiserTraits traits = denoiser_->traits();
    // What a picture takes with its requests is known from some of them alone, after the first, which take
    // what all share.
    constexpr std::size_t kFirstPictures = 64;
    std::optional<double> before;
    if (on_phase && pictures.size() > kFirstPictures)
        on_phase(fmt::format("set up {} pictures", pictures.size()));
    for (const Branches& branches : pictures) {
        const std::size_t there = run.conditioning_.size();
        if (there == kFirstPictures) before = machine::resident_bytes();
        if (there == 2 * kFirstPictures && before)
            check_fits(pictures.size(), (*machine::resident_bytes() - *before) / kFirstPictures, there);
        auto& halves = run.conditioning_.emplace_back();
        if (branches.size() == 2 && run.mode_ == GuidanceMode::batched)
            halves.push_back(joined(branches[0], branches[1]));
        else
            halves = branches;
        auto& generation = run.generations_.emplace_back(run.executor_, run.reuse_);
        run.memories_.emplace_back(run.plan().schedule);
        const auto& decision = run.plan().schedule.decision;
        if (run.reuse_ && decision)
            run.deciders_.emplace_back(*decision, run.plan().schedule.num_steps, run.deciders_.size());
        auto& bound = run.bound_.emplace_back();
        const std::int64_t batch = graph_shape(resolved).batch;
        Shape sample = {batch, traits.in_channels, shape.height, shape.width};
        if (shape.frames > 0) sample.insert(sample.begin() + 1, shape.frames);
        const Tensor blank(DType::f32, sample);
        for (std::size_t b = 0; b < halves.size(); ++b) {
            auto& inputs =
                bound.emplace_back(denoiser_->inputs(blank, evaluations.front().timestep, halves[b]));
            for (std::size_t i = 0; i < inputs.size(); ++i)
                generation.bind(static_cast<int>(b), i, inputs[i]);
        }
        generation.begin();
    }
    return run;
}

/// The mode of a step that has none yet, unless that needs the plan's probe.
std::optional<int> GuidedDenoiser::Run::mode_without_probe(std::size_t picture, int step, const Tensor& own) {
    if (!reuse_ || plan().schedule.num_modes == 1) return 0;
    if (!deciders_.empty()) {
        if (plan().extended.num_probes > 0) return {};
        return decided(picture, step, {}, own, 0);
    }
    const auto open = plan().schedule.modes_at(step);
    const int mode = choose_ ? choose_(picture, step) : 0;
    if (std::find(open.begin(), open.end(), mode) == open.end())
        failure("mode {} was chosen for step {}, which it is not for", mode, step);
    return mode;
}

int GuidedDenoiser::Run::decided(std::size_t picture, int step, const std::vector<Tensor>& probe,
                                 const Tensor& own, std::size_t branch) {
    const bool allowed = plan().schedule.modes_at(step).size() > 1;
    Tensor looked_at = probe.empty() ? Tensor{} : probe.front();
    // of two halves in one batch the unconditional one, so that both ways of guidance decide alike
    if (looked_at.defined() && is_two_in_one(picture)) looked_at = looked_at.rows(0, looked_at.dim(0) / 2);
    return deciders_[picture].reuses(step, allowed, looked_at, own, branch) ? 1 : 0;
}

/// Whether both halves of guidance are one batch.
bool GuidedDenoiser::Run::is_two_in_one(std::size_t picture) const {
    const auto& halves = conditioning_[picture];
    return mode_ == GuidanceMode::batched && halves.size() == 1 &&
           halves[0].encoder_hidden_states.dim(0) == 2;
}

std::vector<Tensor> GuidedDenoiser::Run::predictions_of(std::size_t picture, const Tensor& own) {
    const graph::Graph& graph = executor_->plan().extended.graph;
    const auto& halves = conditioning_[picture];
    const int step = evaluations_[next_].step;
    const bool begins = next_ == 0 || evaluations_[next_ - 1].step != step;
    std::optional<int> mode = begins ? mode_without_probe(picture, step, own) : modes_[picture];
    const bool two_in_one = is_two_in_one(picture);
    int decision = 0;
    cachify::Generation& generation = generations_[picture];
    std::vector<Tensor> predictions(halves.size());
    while (const cachify::Execution* now = generation.next()) {
        if (now->evaluation != static_cast<int>(next_)) break;
        decision = now->decision;
        const auto b = static_cast<std::size_t>(now->branch);
        auto& inputs = bound_[picture][b];
        inputs = owner_->denoiser_->inputs(two_in_one ? joined(own, own) : own.clone(),
                                           evaluations_[next_].timestep, halves[b]);
        for (std::size_t i = 0; i < inputs.size(); ++i)
            if (is_varying(graph[graph.inputs[i]].attrs<graph::InputAttrs>().name))
                generation.bind(now->branch, i, inputs[i]);
        if (!mode) mode = decided(picture, step, generation.probe(), own, b);
        const auto outputs = generation.run(*mode);
        if (outputs.empty()) continue;
        predictions[b] = outputs.front().clone();
        if (watched_)
            watched_->show(
                {step, static_cast<int>(b), {}, {}, two_in_one ? joined(own, own) : own, predictions[b]},
                outputs);
        account(picture, generation.position());
    }
    modes_[picture] = *mode;
    if (picture == 0 && plan().schedule.num_branches == 2)
        for (std::size_t b = 0; b < 2; ++b)
            if (!predictions[b].defined()) note_reused(b == 0 ? "unconditional" : "conditional");
    if (two_in_one)
        predictions = {predictions[0].rows(0, 1), predictions[0].rows(1, 2)};
    else if (reuse_)
        memories_[picture].complete(predictions, static_cast<int>(next_), decision, *mode);
    if (!deciders_.empty() && begins) deciders_[picture].gave(predictions.front());
    return predictions;
}

void GuidedDenoiser::Run::skip() {
    for (auto& generation : generations_)
        for (const auto* now = generation.next();
             now != nullptr && now->evaluation == static_cast<int>(next_); now = generation.next())
            generation.skip();
    ++next_;
}

void GuidedDenoiser::Run::restart() {
    next_ = 0;
    flops_run_ = 0;
    for (std::size_t p = 0; p < generations_.size(); ++p) {
        generations_[p].restart();
        memories_[p] = cachify::BranchMemory(plan().schedule);
        if (deciders_.empty()) continue;
        deciders_[p] = cachify::Decider(*plan().schedule.decision, plan().schedule.num_steps, p);
    }
}

std::vector<Tensor> GuidedDenoiser::Run::evaluate(const Tensor& sample,
                                                  const std::function<void(std::size_t)>& on_picture) {
    std::vector<Tensor> predictions;
    flops_share_ = 0;
    reused_modules_.clear();
    for (std::size_t p = 0; p < generations_.size(); ++p) {
        const auto row = static_cast<std::int64_t>(p);
        const auto own = predictions_of(p, sample.rows(row, row + 1));
        for (std::size_t h = 0; h < own.size(); ++h) {
            if (h == predictions.size()) predictions.emplace_back(own[h].type(), sample.shape());
            std::memcpy(predictions[h].rows(row, row + 1).data(), own[h].data(), own[h].bytes());
        }
        if (on_picture) on_picture(p + 1);
    }
    ++next_;
    return predictions;
}

/// Notes what an execution cost; steps are told of as the first picture's were.
void GuidedDenoiser::Run::account(std::size_t picture, std::size_t execution) {
    const cachify::Plan& made = plan();
    const double flops = reuse_ ? made.cost_of_execution(execution).flops : full_flops_;
    flops_run_ += flops / static_cast<double>(generations_.size());
    if (picture > 0) return;
    const auto branches = static_cast<double>(made.schedule.num_branches);
    flops_share_ += full_flops_ == 0 ? 1 / branches : flops / (full_flops_ * branches);
    for (std::size_t r = 0; reuse_ && r < made.schedule.rules.size(); ++r)
        if (made.analysis.is_reused(made.extended, made.schedule, execution, r))
            note_reused(
                made.extended.graph.modules[static_cast<std::size_t>(made.schedule.rules[r].module)].name);
}

void GuidedDenoiser::Run::note_reused(std::string_view name) {
    if (std::find(reused_modules_.begin(), reused_modules_.end(), name) == reused_modules_.end())
        reused_modules_.emplace_back(name);
}

std::vector<std::vector<int>> GuidedDenoiser::Run::decisions() const {
    std::vector<std::vector<int>> steps;
    for (const auto& decider : deciders_) steps.push_back(decider.reused());
    return steps;
}

std::size_t GuidedDenoiser::Run::branch_bytes() const {
    return memories_.front().kept_bytes();
}

std::vector<std::string> GuidedDenoiser::Run::complaints() const {
    std::vector<std::string> all;
    for (const auto& generation : generations_)
        all.insert(all.end(), generation.complaints().begin(), generation.complaints().end());
    return all;
}

namespace {

/// Unbiased, as torch.std.
double deviation(std::span<const float> values) {
    double sum = 0;
    for (const float value : values) sum += value;
    const double mean = sum / static_cast<double>(values.size());
    double squares = 0;
    for (const float value : values) squares += (value - mean) * (value - mean);
    return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

}  // namespace

Tensor guide(const std::vector<Tensor>& halves, double guidance_scale, double guidance_rescale) {
    if (halves.size() == 1) return halves[0];
    const auto scale = static_cast<float>(guidance_scale);
    Tensor result(DType::f32, halves[0].shape());
    const auto uncond = halves[0].span<float>();
    const auto cond = halves[1].span<float>();
    const auto out = result.span<float>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = uncond[i] + scale * (cond[i] - uncond[i]);
    if (guidance_rescale <= 0) return result;
    const auto row_size = out.size() / static_cast<std::size_t>(result.dim(0));
    for (std::size_t begin = 0; begin < out.size(); begin += row_size) {
        const auto row = out.subspan(begin, row_size);
        const double ratio = deviation(cond.subspan(begin, row_size)) / deviation(row);
        const auto factor = static_cast<float>(guidance_rescale * ratio + (1 - guidance_rescale));
        for (float& value : row) value *= factor;
    }
    return result;
}

}  // namespace reprise::pipelines
