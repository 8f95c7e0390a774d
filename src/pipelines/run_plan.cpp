#include "pipelines/run_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>

#include "cachify/units.h"

namespace reprise::pipelines {

namespace {

bool about_guidance(const cachify::Entry& entry) {
    return cachify::is_about(entry, ModuleKind::guidance);
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

std::vector<int> steps_of(const std::vector<Evaluation>& evaluations) {
    std::vector<int> steps;
    for (const Evaluation& evaluation : evaluations) steps.push_back(evaluation.step);
    return steps;
}

/// A schedule on a graph: the denoiser's own, or one with units that are no modules of the checkpoint.
struct Scheduled {
    const graph::Graph* own = nullptr;
    std::optional<cachify::WithUnits> units;
    cachify::Schedule schedule;
    std::string advice;  ///< that nothing is reused, or empty
    const graph::Graph& graph() const { return units ? units->graph : *own; }
};

Scheduled scheduled(const graph::Graph& graph, const RunRequest& request) {
    const Ways& ways = request.ways;
    const RunShape& shape = request.shape;
    const int branches = shape.guidance && shape.mode == GuidanceMode::split ? 2 : 1;
    const int num_steps = ways.count == cachify::Count::steps ? request.evaluations.back().step + 1
                                                              : static_cast<int>(request.evaluations.size());
    cachify::Config config;
    if (ways.config) config = shape.guidance ? *ways.config : without_guidance(*ways.config);
    for (const auto& mode : ways.modes) config.insert(config.end(), mode.begin(), mode.end());
    Scheduled result{&graph, cachify::with_units(graph, config), {}, {}};
    if (result.units) config = result.units->config;
    if (!ways.modes.empty()) {
        result.schedule = cachify::make_schedule_of_modes(result.graph(), of_modes(config, ways.modes),
                                                          num_steps, branches);
        return result;
    }
    result.schedule = cachify::make_schedule(result.graph(), config, num_steps, branches, ways.count);
    if (ways.config) result.advice = cachify::advice_on(*ways.config, result.schedule);
    return result;
}

std::shared_ptr<const cachify::Plan> planned(const Scheduled& scheduled, const RunRequest& request,
                                             const backends::PieceTraits& pieces) {
    cachify::PlanRequest plan;
    plan.pieces = pieces;
    plan.steps_of_evaluations = steps_of(request.evaluations);
    return std::make_shared<const cachify::Plan>(
        cachify::make_plan(scheduled.graph(), scheduled.schedule, plan));
}

void advise(const Scheduled& scheduled, const cachify::Plan& plan, const RunRequest& request) {
    if (!scheduled.advice.empty()) request.caller.warn(scheduled.advice);
    for (const std::string& text : plan.advice) request.caller.warn(text);
}

/// Whether the plan is of such a schedule. Units are called by what they hold.
bool is_of(const cachify::Plan& plan, const Scheduled& scheduled) {
    const auto name = [](const graph::Graph& graph, const cachify::Schedule::Rule& rule) -> const auto& {
        return graph.modules[static_cast<std::size_t>(rule.module)].name;
    };
    const auto& rules = scheduled.schedule.rules;
    return plan.schedule == scheduled.schedule &&
           std::all_of(rules.begin(), rules.end(), [&](const auto& rule) {
               return name(plan.extended.graph, rule) == name(scheduled.graph(), rule);
           });
}

}  // namespace

bool Ways::needs_two_passes() const {
    const auto needs = [](const cachify::Config& all) {
        return std::any_of(all.begin(), all.end(), [](const cachify::Entry& entry) {
            return entry.store.rule == cachify::Store::Rule::mean || about_guidance(entry);
        });
    };
    return (config && needs(*config)) || std::any_of(modes.begin(), modes.end(), needs);
}

std::shared_ptr<const cachify::Plan> make_run_plan(const graph::Graph& graph, const RunRequest& request,
                                                   const backends::PieceTraits& pieces) {
    const Scheduled made = scheduled(graph, request);
    auto plan = planned(made, request, pieces);
    advise(made, *plan, request);
    return plan;
}

std::shared_ptr<const cachify::Plan> RunPlans::plan(const graph::Graph& graph, const RunRequest& request,
                                                    const backends::PieceTraits& pieces) {
    const Scheduled made = scheduled(graph, request);
    const models::DenoiserShape shape = request.shape.of_graph();
    const std::vector<int> steps = steps_of(request.evaluations);
    const auto plan =
        known_
            .get(
                [&](const Known& each) {
                    return each.shape == shape && each.steps == steps && is_of(*each.plan, made);
                },
                [&] {
                    return Known{shape, steps, planned(made, request, pieces)};
                })
            .plan;
    advise(made, *plan, request);
    return plan;
}

}  // namespace reprise::pipelines
