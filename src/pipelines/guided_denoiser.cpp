#include "pipelines/guided_denoiser.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>

#include "reprise/error.h"

namespace reprise::pipelines {

namespace {

using backends::Compiled;
using models::DenoiserShape;

double weight_bytes(const cachify::Plan& plan) {
    double bytes = 0;
    for (const auto& segment : plan.segments) bytes += segment.cost.weight_bytes;
    return bytes;
}

std::vector<std::string> keys_of(const cachify::Plan& plan) {
    std::vector<std::string> keys;
    for (const auto& segment : plan.segments) keys.push_back(segment.content);
    return keys;
}

/// Segments by their weights: what takes longest to compile is begun first.
std::vector<std::size_t> heaviest_first(const cachify::Plan& plan) {
    std::vector<std::size_t> order(plan.segments.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return plan.segments[a].cost.weight_bytes > plan.segments[b].cost.weight_bytes;
    });
    return order;
}

/// Seconds of an evaluation in full.
double seconds_of(std::shared_ptr<const cachify::Executor> executor, std::size_t evaluations,
                  const std::stop_token& stop) {
    const graph::Graph& graph = executor->plan().extended.graph;
    const int branches = executor->plan().schedule.num_branches;
    const auto workspace = std::make_shared<cachify::Workspace>(std::move(executor));
    cachify::Generation generation(workspace, false, stop);
    std::vector<Tensor> inputs;
    for (const graph::NodeId id : graph.inputs) inputs.emplace_back(graph[id].type, graph[id].shape);
    for (int b = 0; b < branches; ++b)
        for (std::size_t i = 0; i < inputs.size(); ++i) generation.bind(b, i, inputs[i]);
    generation.begin();
    const auto one_evaluation = [&] {
        const auto begin = std::chrono::steady_clock::now();
        for (int b = 0; b < branches; ++b) generation.run();
        workspace->queue().wait();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    double best = one_evaluation();  // the first also warms up
    for (std::size_t e = 1; e < std::min<std::size_t>(evaluations, 4); ++e)
        best = std::min(best, one_evaluation());
    return best;
}

/// How long the texts of a picture are; both halves are of one length.
std::int64_t text_tokens_of(const Branches& picture, std::int64_t otherwise) {
    const auto text = picture.front().find(models::kText);
    return text == picture.front().end() ? otherwise : text->second.dim(1);
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
    return graphs_
        .get([&](const BuiltGraph& built) { return built.shape == shape; },
             [&] {
                 return BuiltGraph{shape, std::make_shared<const graph::Graph>(denoiser_->build(
                                              shape, engine_.options.precision, weights_.get()))};
             })
        .graph;
}

std::shared_ptr<const cachify::Plan> GuidedDenoiser::plan(RunRequest request) const {
    auto& mode = request.shape.mode;
    if (mode == GuidanceMode::automatic && request.ways.needs_two_passes()) mode = GuidanceMode::split;
    return make_run_plan(denoiser_->build(request.shape.of_graph(), engine_.options.precision, nullptr),
                         request, engine_.traits().pieces);
}

std::shared_ptr<const cachify::Plan> GuidedDenoiser::planned(const graph::Graph& graph,
                                                             const RunRequest& request) const {
    const auto pieces = engine_.traits().pieces;
    if (!request.watch) return plans_.plan(graph, request, pieces);
    return make_run_plan(WatchPoints(graph, *request.watch).exposed(graph), request, pieces);
}

std::shared_ptr<const cachify::Executor> GuidedDenoiser::executor(const RunRequest& request) const {
    const auto graph = this->graph(request.shape.of_graph());
    const auto plan = planned(*graph, request);
    const auto keys = keys_of(*plan);
    const auto order = heaviest_first(*plan);
    std::vector<std::string> wanted;
    for (const std::size_t segment : order) wanted.push_back(keys[segment]);
    const auto pieces = store_.get<Compiled>(
        wanted,
        [&](std::size_t i) {
            return backends::order_of({plan, &plan->segments[order[i]].graph}, weights_, engine_);
        },
        {request.caller.stop, [&](std::size_t done, std::size_t all) {
             request.phase(fmt::format("compile {}/{}", done + 1, all));
         }});
    cachify::Pieces in_order(pieces.size());
    for (std::size_t i = 0; i < order.size(); ++i) in_order[order[i]] = pieces[i];
    return std::make_shared<const cachify::Executor>(plan, in_order, engine_);
}

GuidanceMode GuidedDenoiser::resolve(const RunRequest& request) const {
    if (!request.shape.guidance) return GuidanceMode::batched;
    if (request.shape.mode != GuidanceMode::automatic) return request.shape.mode;
    if (request.ways.needs_two_passes()) return GuidanceMode::split;
    RunRequest split = request;
    split.shape.mode = GuidanceMode::split;
    const DenoiserShape shape = split.shape.of_graph();
    return timings_
        .get([&](const Timing& timing) { return timing.shape == shape; },
             [&] {
                 return Timing{shape, timed(split)};
             })
        .mode;
}

/// The faster way of guidance; for large models two passes, untimed. What only the slower one needs is freed.
GuidanceMode GuidedDenoiser::timed(const RunRequest& split) const {
    const auto graph = this->graph(split.shape.of_graph());
    if (weight_bytes(*planned(*graph, split)) > engine_.traits().cheap_bytes) return GuidanceMode::split;
    split.phase("time guidance");
    RunRequest whole = split;
    whole.shape.mode = GuidanceMode::batched;
    auto one = executor(whole);
    auto two = executor(split);
    const auto& stop = split.caller.stop;
    const double batched = seconds_of(one, split.evaluations.size(), stop);
    const double passes = seconds_of(two, split.evaluations.size(), stop);
    spdlog::debug("guidance as one batch {:.2f} ms, as two passes {:.2f} ms", batched * 1e3, passes * 1e3);
    const bool is_batched = batched <= passes;
    const auto slower = keys_of((is_batched ? two : one)->plan());
    (is_batched ? two : one).reset();
    store_.drop(slower);
    return is_batched ? GuidanceMode::batched : GuidanceMode::split;
}

DenoiserRun GuidedDenoiser::start(RunRequest request, const std::vector<Branches>& pictures) const {
    if (request.watch && request.ways.reuses()) failure("a run that reuses is to be watched");
    std::map<std::int64_t, PictureRun> known;  // by the length of their texts
    std::vector<PictureRun> runs;
    for (const Branches& picture : pictures) {
        request.shape.text_tokens = text_tokens_of(picture, request.shape.text_tokens);
        auto run = known.find(request.shape.text_tokens);
        if (run == known.end()) run = known.emplace(request.shape.text_tokens, picture_run(request)).first;
        runs.push_back(run->second);
    }
    return {*denoiser_, std::move(runs), request, pictures};
}

PictureRun GuidedDenoiser::picture_run(RunRequest request) const {
    request.shape.mode = resolve(request);
    PictureRun result{executor(request), request.shape.mode};
    result.full_flops = result.executor->plan().cost_of_full().flops;
    if (request.watch)
        result.watched =
            std::make_shared<const WatchPoints>(*graph(request.shape.of_graph()), *request.watch);
    return result;
}

}  // namespace reprise::pipelines
