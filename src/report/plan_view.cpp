#include "report/plan_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "report/text.h"

namespace reprise::report {

using graph::ModuleId;
using graph::NodeId;

namespace {

/// The module just below the root, or the root of its part, around a module; 0 for the root itself.
ModuleId outermost(const graph::Graph& graph, ModuleId id) {
    const auto is_root = [&](ModuleId module) {
        const auto& own = graph.modules[static_cast<std::size_t>(module)];
        return module == 0 || own.name == own.part;
    };
    while (id > 0 && !is_root(graph.modules[static_cast<std::size_t>(id)].parent))
        id = graph.modules[static_cast<std::size_t>(id)].parent;
    return std::max(id, 0);
}

std::string parts_of(const cachify::Plan& plan, const std::vector<NodeId>& nodes) {
    const graph::Graph& graph = plan.extended.graph;
    std::set<ModuleId> modules;
    for (const NodeId id : nodes)
        if (cost_of(graph, graph[id]).flops > 0) modules.insert(outermost(graph, graph[id].module));
    std::vector<std::string> names;
    for (const ModuleId id : modules)
        if (id > 0) names.push_back(graph.modules[static_cast<std::size_t>(id)].name);
    const std::string text = joined_names(names);
    return text.empty() ? "(between blocks)" : text;
}

PlanView::Execution execution_of(const cachify::Plan& plan, std::size_t x, double full_flops) {
    const auto& execution = plan.analysis.sequence[x];
    PlanView::Execution view;
    view.step = execution.step;
    view.evaluation = execution.evaluation;
    view.branch = execution.branch;
    view.runs.assign(plan.partition.segments.size(), false);
    for (const int s : plan.partition.runs[0][x]) view.runs[static_cast<std::size_t>(s)] = true;
    view.flops = plan.cost_of_execution(x).flops;
    view.share = full_flops == 0 ? 1 : view.flops / full_flops;
    for (std::size_t r = 0; r < plan.schedule.rules.size(); ++r) {
        const auto module = static_cast<std::size_t>(plan.schedule.rules[r].module);
        if (plan.analysis.is_reused(plan.extended, plan.schedule, x, r))
            view.reused.push_back(plan.extended.graph.modules[module].name);
    }
    return view;
}

PlanView::Slot slot_of(const cachify::Plan& plan, std::size_t index) {
    const cachify::Slot& slot = plan.program.slots[index];
    const graph::Graph& graph = plan.extended.graph;
    PlanView::Slot view;
    view.use = index < static_cast<std::size_t>(plan.program.prologue_slots) ? PlanView::Slot::Use::once
               : slot.branch >= 0                                            ? PlanView::Slot::Use::kept
                                                                             : PlanView::Slot::Use::scratch;
    const auto& module = graph.modules[static_cast<std::size_t>(graph[slot.node].module)];
    view.module = module.name;
    const auto output = std::find(module.outputs.begin(), module.outputs.end(), slot.node);
    if (output != module.outputs.end()) view.output = static_cast<int>(output - module.outputs.begin());
    view.of_several = module.outputs.size() > 1;
    view.branch = slot.branch;
    view.version = slot.version;
    view.type = name_of(slot.type);
    view.shape = to_string(slot.shape);
    view.bytes = slot.bytes();
    return view;
}

}  // namespace

PlanView view_of(const cachify::Plan& plan) {
    PlanView view;
    view.num_steps = plan.analysis.sequence.back().step + 1;
    view.num_branches = plan.schedule.num_branches;
    view.variants = plan.partition.variants;
    view.full_flops = plan.cost_of_full().flops;
    for (std::size_t s = 0; s < plan.segments.size(); ++s) {
        const bool prologue = s >= plan.partition.segments.size();
        const auto& nodes = prologue ? plan.partition.prologue : plan.partition.segments[s];
        view.segments.push_back({parts_of(plan, nodes), plan.segments[s].cost.flops,
                                 plan.segments[s].cost.weight_bytes, prologue});
        if (prologue) view.prologue_flops = plan.segments[s].cost.flops * view.num_branches;
    }
    for (const std::size_t x : plan.analysis.path) {
        view.executions.push_back(execution_of(plan, x, view.full_flops));
        view.total_flops += view.executions.back().flops;
    }
    for (std::size_t i = 0; i < plan.program.slots.size(); ++i) view.slots.push_back(slot_of(plan, i));
    view.total_flops += view.prologue_flops;
    view.full_total_flops =
        view.full_flops * static_cast<double>(plan.full_analysis.executions.size()) + view.prologue_flops;
    view.kept_bytes = plan.program.kept_bytes();
    view.prologue_bytes = plan.program.prologue_bytes();
    view.scratch_bytes = plan.program.scratch_bytes();
    view.expected_speedup = plan.expected_speedup();
    view.decided = plan.schedule.decision.has_value();
    return view;
}

std::string joined_names(const std::vector<std::string>& names) {
    const auto split = [](const std::string& name) -> std::pair<std::string, int> {
        const auto dot = name.rfind('.');
        int number = -1;
        if (dot == std::string::npos) return {name, -1};
        const char* end = name.data() + name.size();
        const auto [rest, error] = std::from_chars(name.data() + dot + 1, end, number);
        if (error != std::errc() || rest != end || number < 0) return {name, -1};
        return {name.substr(0, dot), number};
    };
    std::string text;
    for (std::size_t begin = 0; begin < names.size();) {
        const auto [stem, first] = split(names[begin]);
        std::size_t end = begin + 1;
        while (first >= 0 && end < names.size() &&
               split(names[end]) == std::pair(stem, first + static_cast<int>(end - begin)))
            ++end;
        text += text.empty() ? "" : ", ";
        text += names[begin];
        if (end - begin > 1) text += fmt::format("-{}", first + static_cast<int>(end - begin) - 1);
        begin = end;
    }
    return text;
}

namespace {

std::string legend(const PlanView& view) {
    Table table({{"segment", Table::Align::right},
                 {"FLOPs", Table::Align::right},
                 {"weights", Table::Align::right},
                 {"computes", Table::Align::left}});
    for (std::size_t s = 0; s < view.segments.size(); ++s) {
        const auto& segment = view.segments[s];
        table.add({segment.prologue ? "once" : fmt::format("{}", s + 1), human_flops(segment.flops),
                   human_bytes(segment.weight_bytes), segment.parts});
    }
    return table.text();
}

std::string steps(const PlanView& view, const PlanStyle& style) {
    const bool evaluations = view.executions.back().evaluation + 1 != view.num_steps;
    const auto pieces = view.executions.front().runs.size();
    std::string header;  // segment numbers, last digit each, one column per segment
    for (std::size_t s = 0; s < pieces; ++s) header += fmt::format("{}", (s + 1) % 10);
    Table table({{"step", Table::Align::right},
                 {evaluations ? "evaluation" : "", Table::Align::right},
                 {view.num_branches > 1 ? "pass" : "", Table::Align::right},
                 {header, Table::Align::left},
                 {"FLOPs", Table::Align::right},
                 {"of full", Table::Align::right},
                 {"reused", Table::Align::left}});
    for (const auto& execution : view.executions) {
        std::string marks;
        for (const bool runs : execution.runs) marks += runs ? style.run : style.reused;
        table.add({fmt::format("{}", execution.step),
                   evaluations ? fmt::format("{}", execution.evaluation) : "",
                   view.num_branches > 1 ? fmt::format("{}", execution.branch + 1) : "", marks,
                   human_flops(execution.flops), percent(execution.share), joined_names(execution.reused)});
    }
    return table.text();
}

std::string slots(const PlanView& view) {
    Table table({{"kept between steps", Table::Align::left},
                 {"shape", Table::Align::left},
                 {"type", Table::Align::left},
                 {view.num_branches > 1 ? "pass" : "", Table::Align::right},
                 {"bytes", Table::Align::right}});
    for (const auto& slot : view.slots)
        if (slot.use == PlanView::Slot::Use::kept)
            table.add({slot.version > 0 ? fmt::format("{} (the {}. before)", slot.module, slot.version)
                                        : slot.module,
                       slot.shape, slot.type, view.num_branches > 1 ? fmt::format("{}", slot.branch + 1) : "",
                       human_bytes(static_cast<double>(slot.bytes))});
    return table.empty() ? "Nothing is kept between steps.\n" : table.text();
}

}  // namespace

std::string to_text(const PlanView& view, const PlanStyle& style) {
    std::string text = legend(view);
    if (view.variants)
        text += "Each segment is a whole step: the weights are few enough to be compiled more than once.\n";
    text += fmt::format("\n{}{} computed at a step, {} taken as it was\n", steps(view, style), style.run,
                        style.reused);
    text += "\n" + slots(view);
    text += fmt::format("{} kept between steps, {} computed once, {} scratch within a step\n",
                        human_bytes(static_cast<double>(view.kept_bytes)),
                        human_bytes(static_cast<double>(view.prologue_bytes)),
                        human_bytes(static_cast<double>(view.scratch_bytes)));
    text += fmt::format("\n{} instead of {}: {} saved; expect the denoiser {}{:.2f} times as fast\n",
                        human_flops(view.total_flops), human_flops(view.full_total_flops),
                        percent(1 - view.total_flops / std::max(1.0, view.full_total_flops)),
                        view.decided ? "at most " : "", view.expected_speedup);
    return text;
}

nlohmann::ordered_json to_json(const PlanView& view) {
    using Json = nlohmann::ordered_json;
    Json segments = Json::array();
    for (const auto& segment : view.segments)
        segments.push_back({{"computes", segment.parts},
                            {"flops", segment.flops},
                            {"weight_bytes", segment.weight_bytes},
                            {"once", segment.prologue}});
    Json executions = Json::array();
    for (const auto& execution : view.executions) {
        std::vector<int> ran;
        for (std::size_t s = 0; s < execution.runs.size(); ++s)
            if (execution.runs[s]) ran.push_back(static_cast<int>(s));
        executions.push_back({{"step", execution.step},
                              {"evaluation", execution.evaluation},
                              {"pass", execution.branch},
                              {"segments", ran},
                              {"flops", execution.flops},
                              {"share", execution.share},
                              {"reused", execution.reused}});
    }
    Json slots = Json::array();
    for (const auto& slot : view.slots) {
        const char* use = slot.use == PlanView::Slot::Use::kept   ? "kept"
                          : slot.use == PlanView::Slot::Use::once ? "once"
                                                                  : "scratch";
        slots.push_back({{"use", use},
                         {"module", slot.module},
                         {"output", slot.output},
                         {"pass", slot.branch},
                         {"version", slot.version},
                         {"type", slot.type},
                         {"shape", slot.shape},
                         {"bytes", slot.bytes}});
    }
    return {{"num_steps", view.num_steps},
            {"passes", view.num_branches},
            {"whole_steps_compiled", view.variants},
            {"segments", segments},
            {"executions", executions},
            {"slots", slots},
            {"kept_bytes", view.kept_bytes},
            {"once_bytes", view.prologue_bytes},
            {"scratch_bytes", view.scratch_bytes},
            {"full_step_flops", view.full_flops * view.num_branches},
            {"total_flops", view.total_flops},
            {"full_total_flops", view.full_total_flops},
            {"expected_speedup", view.expected_speedup}};
}

}  // namespace reprise::report
