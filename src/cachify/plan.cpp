#include "cachify/plan.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "cachify/combination.h"

namespace reprise::cachify {

graph::Cost Plan::cost_of_execution(std::size_t execution) const {
    graph::Cost cost;
    for (const int s : partition.runs[0][execution]) cost += segments[static_cast<std::size_t>(s)].cost;
    return cost;
}

graph::Cost Plan::cost_of_full() const {
    graph::Cost cost;
    const auto& must = full_analysis.executions.front().must;
    for (std::size_t n = 0; n < must.size(); ++n)
        if (must[n]) cost += cost_of(extended.graph, extended.graph.nodes[n]);
    return cost;
}

double Plan::expected_speedup() const {
    double flops = 0;
    for (const std::size_t x : analysis.path) flops += cost_of_execution(x).flops;
    const auto in_full = static_cast<double>(full_analysis.executions.size());
    return flops == 0 ? 1 : cost_of_full().flops * in_full / flops;
}

Schedule without_reuse(const Schedule& schedule) {
    Schedule full = schedule;
    for (auto& rule : full.rules)
        for (auto& steps : rule.reuse) steps.assign(steps.size(), false);
    full.branch_rules.clear();
    full.variant_rules.clear();
    full.num_modes = 1;
    return full;
}

Plan make_plan(const graph::Graph& graph, const Schedule& schedule, const PlanRequest& request) {
    Plan plan;
    plan.schedule = schedule;
    plan.extended = extend(graph, schedule, request.variants);
    const Schedule full = without_reuse(schedule);
    std::array<Analysis, 2> analyses = {
        analyse(plan.extended, schedule,
                make_sequence(request.steps_of_evaluations, schedule, plan.extended.num_probes > 0)),
        analyse(plan.extended, full, make_sequence(request.steps_of_evaluations, full))};

    // Reuse of the whole denoiser is meant so, and an extrapolation takes the step into account.
    const auto is_meant = [&](std::size_t execution) {
        for (std::size_t r = 0; r < schedule.rules.size(); ++r) {
            const Schedule::Rule& rule = schedule.rules[r];
            const auto module = static_cast<std::size_t>(rule.module);
            const bool is_whole = plan.extended.graph.modules[module].kind == ModuleKind::denoiser;
            const bool extrapolates = is_combination(rule.store) && !keeps_differences(rule.store) &&
                                      rule.store.rule != Store::Rule::mean;
            if ((is_whole || extrapolates) && analyses[0].is_reused(plan.extended, schedule, execution, r))
                return true;
        }
        return false;
    };
    std::set<int> blind;
    const bool sees_in_full = analyses[1].executions.front().reads_latents;
    for (std::size_t x = 0; x < analyses[0].executions.size(); ++x)
        if (sees_in_full && !analyses[0].executions[x].reads_latents &&
            analyses[0].sequence[x].mode != Execution::kProbe && !is_meant(x))
            blind.insert(analyses[0].sequence[x].step);
    if (!blind.empty())
        plan.advice.push_back(fmt::format(
            "at step{} {} the result does not depend on the latents of the step: too much is reused there",
            blind.size() == 1 ? "" : "s", fmt::join(blind, ", ")));

    plan.partition = partition(plan.extended, analyses, request.pieces);
    plan.segments = make_segments(plan.extended, plan.partition, analyses);
    plan.program = make_program(plan.extended, schedule, analyses[0], plan.partition, 0, plan.segments);
    plan.full_program = make_program(plan.extended, full, analyses[1], plan.partition, 1, plan.segments);
    plan.analysis = std::move(analyses[0]);
    plan.full_analysis = std::move(analyses[1]);
    return plan;
}

}  // namespace reprise::cachify
