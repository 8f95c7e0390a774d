#include "report/module_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "report/text.h"

namespace reprise::report {

using graph::ModuleId;

namespace {

std::size_t index(ModuleId id) {
    return static_cast<std::size_t>(id);
}

/// Steps at which the module does not run in any branch or evaluation.
std::vector<int> steps_without(const cachify::Plan& plan, const std::string& name) {
    const ModuleId module = plan.extended.graph.find_module(name);
    std::set<int> reused;
    std::set<int> run;
    for (const std::size_t x : plan.analysis.path) {
        const bool runs = plan.analysis.executions[x].module_runs[index(module)];
        (runs ? run : reused).insert(plan.analysis.sequence[x].step);
    }
    std::vector<int> steps;
    std::set_difference(reused.begin(), reused.end(), run.begin(), run.end(), std::back_inserter(steps));
    return steps;
}

}  // namespace

ModuleTree module_tree(const graph::Graph& graph, const cachify::Plan* plan) {
    ModuleTree tree;
    std::vector<double> flops(graph.modules.size());
    std::vector<std::int64_t> parameters(graph.modules.size());
    for (const auto& node : graph.nodes) {
        const double cost = cost_of(graph, node).flops;
        const std::int64_t count = node.op == graph::Op::constant ? element_count(node.shape) : 0;
        for (ModuleId id = node.module; id >= 0; id = graph.modules[index(id)].parent) {
            flops[index(id)] += cost;
            parameters[index(id)] += count;
        }
    }
    if (plan != nullptr) {
        tree.num_steps = plan->analysis.sequence.back().step + 1;
    }
    for (std::size_t m = 0; m < graph.modules.size(); ++m) {
        const auto& module = graph.modules[m];
        ModuleRow row;
        row.name = module.name;
        row.kind = module.kind;
        row.part = module.part;
        for (ModuleId id = module.parent; id >= 0; id = graph.modules[index(id)].parent) ++row.depth;
        row.parameters = parameters[m];
        row.flops = flops[m];
        row.share = flops[0] == 0 ? 0 : flops[m] / flops[0];
        if (plan != nullptr) {
            row.reused_steps = steps_without(*plan, module.name);
            for (const auto& rule : plan->schedule.rules)
                if (plan->extended.graph.modules[index(rule.module)].name == module.name)
                    row.store = to_string(rule.store);
        }
        tree.rows.push_back(std::move(row));
    }
    return tree;
}

std::string to_text(const ModuleTree& tree, bool flat) {
    Table table({{"module", Table::Align::left},
                 {"kind", Table::Align::left},
                 {"parameters", Table::Align::right},
                 {"FLOPs", Table::Align::right},
                 {"share", Table::Align::right},
                 {tree.num_steps > 0 ? "reused at steps" : "", Table::Align::left}});
    std::vector<std::string> above;  // names by depth
    for (const auto& row : tree.rows) {
        above.resize(static_cast<std::size_t>(row.depth));
        std::string name = row.name.empty() ? "(the whole model)" : row.name;
        if (!flat && row.depth > 0) {
            const std::string& parent = above.back();
            if (!parent.empty() && row.name.starts_with(parent + "."))
                name = row.name.substr(parent.size() + 1);
            name.insert(0, static_cast<std::size_t>(2 * (row.depth - 1)), ' ');
        }
        above.push_back(row.name);
        std::string reused;
        if (!row.reused_steps.empty()) {
            reused = fmt::format("{} of {}: {}", row.reused_steps.size(), tree.num_steps,
                                 ranges(row.reused_steps));
            if (!row.store.empty() && row.store != "output") reused += fmt::format(" ({})", row.store);
            if (row.store.empty()) reused = std::string(1, '"');  // inside a module that is
        }
        table.add({name, row.kind == ModuleKind::other ? "" : std::string(name_of(row.kind)),
                   human_count(static_cast<double>(row.parameters)), human_flops(row.flops),
                   percent(row.share), reused});
    }
    return table.text();
}

nlohmann::ordered_json to_json(const ModuleTree& tree) {
    auto rows = nlohmann::ordered_json::array();
    for (const auto& row : tree.rows) {
        nlohmann::ordered_json one = {{"name", row.name},   {"kind", name_of(row.kind)},
                                      {"depth", row.depth}, {"parameters", row.parameters},
                                      {"flops", row.flops}, {"share", row.share}};
        if (!row.part.empty()) one["part"] = row.part;
        if (tree.num_steps > 0) {
            one["reused_steps"] = row.reused_steps;
            if (!row.store.empty()) one["store"] = row.store;
        }
        rows.push_back(std::move(one));
    }
    return rows;
}

}  // namespace reprise::report
