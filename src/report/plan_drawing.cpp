#include "report/plan_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "report/plan_view.h"
#include "report/text.h"

namespace reprise::report {

namespace {

using graph::ModuleId;
using graph::NodeId;
using State = GraphDrawing::State;
using cachify::Store;

/// Where a value comes from: a block or the latents, computed at this execution or kept from an earlier one.
struct Origin {
    int from = 0;
    NodeId kept = -1;  ///< the node whose slot it is read from; -1: computed now

    auto operator<=>(const Origin&) const = default;
};
using Origins = std::set<Origin>;
/// By link: what passes.
using Flow = std::map<std::pair<int, int>, Origins>;

class Reader {
  public:
    explicit Reader(const cachify::Plan& plan)
        : plan_(plan), graph_(plan.extended.graph), block_of_module_(graph_.modules.size(), kOutside) {
        for (std::size_t m = 1; m < graph_.modules.size(); ++m) {
            const auto& module = graph_.modules[m];
            if (module.parent == 0 && module.kind == ModuleKind::block) {
                block_of_module_[m] = static_cast<int>(blocks_.size());
                blocks_.push_back(static_cast<ModuleId>(m));
            } else if (module.parent > 0) {
                block_of_module_[m] = block_of_module_[static_cast<std::size_t>(module.parent)];
            }
        }
        work_ = work_of(std::vector<bool>(plan.full_analysis.executions.front().must));
        find_units();
    }

    GraphDrawing read(std::size_t most_panels, std::size_t& left_out) {
        GraphDrawing drawing;
        for (std::size_t b = 0; b < blocks_.size(); ++b) {
            drawing.blocks.push_back({module(blocks_[b]).name, {}});
            for (const auto& [kind, rules] : units_[b])
                drawing.blocks.back().units.push_back({label_of(b, kind, rules), rules.size()});
        }
        std::vector<Flow> flows;
        std::set<std::pair<int, int>> links;
        const auto collect = [&](const Flow& flow) {
            for (const auto& [link, origins] : flow) links.insert(link);
        };
        collect(flow_of(plan_.full_analysis.executions.front().must, nullptr, 0));
        for (std::size_t x = 0; x < plan_.analysis.executions.size(); ++x) {
            flows.push_back(flow_of(nodes_run(x), &plan_.analysis, x));
            collect(flows.back());
        }
        for (const auto& [from, to] : links) drawing.links.push_back({from, to});
        group(drawing, flows, most_panels, left_out);
        return drawing;
    }

  private:
    static constexpr int kOutside = -9;

    const graph::Module& module(ModuleId id) const { return graph_.modules[static_cast<std::size_t>(id)]; }
    int block_of(NodeId id) const {
        const ModuleId owner = graph_[id].module;
        return owner <= 0 ? kOutside : block_of_module_[static_cast<std::size_t>(owner)];
    }

    /// FLOPs by block.
    std::vector<double> work_of(const std::vector<bool>& runs) const {
        std::vector<double> work(blocks_.size(), 0);
        for (std::size_t n = 0; n < runs.size(); ++n) {
            const int block = block_of(static_cast<NodeId>(n));
            if (runs[n] && block >= 0)
                work[static_cast<std::size_t>(block)] += cost_of(graph_, graph_.nodes[n]).flops;
        }
        return work;
    }

    std::vector<bool> nodes_run(std::size_t x) const {
        std::vector<bool> runs(graph_.nodes.size(), false);
        for (const int s : plan_.partition.runs[0][x])
            for (const NodeId n : plan_.partition.segments[static_cast<std::size_t>(s)])
                runs[static_cast<std::size_t>(n)] = true;
        return runs;
    }

    /// The rules about modules inside each block, by kind.
    void find_units() {
        units_.resize(blocks_.size());
        const auto& rules = plan_.schedule.rules;
        for (std::size_t r = 0; r < rules.size(); ++r) {
            const int block = block_of_module_[static_cast<std::size_t>(rules[r].module)];
            if (block < 0 || blocks_[static_cast<std::size_t>(block)] == rules[r].module) continue;
            units_[static_cast<std::size_t>(block)][module(rules[r].module).kind].push_back(r);
        }
    }

    std::string label_of(std::size_t block, ModuleKind kind, const std::vector<std::size_t>& rules) const {
        constexpr std::size_t kNamed = 3;
        if (rules.size() <= kNamed) {
            std::vector<std::string> names;
            for (const std::size_t r : rules)
                names.push_back(module(plan_.schedule.rules[r].module)
                                    .name.substr(module(blocks_[block]).name.size() + 1));
            return joined_names(names);
        }
        std::string label(name_of(kind));
        std::replace(label.begin(), label.end(), '_', ' ');
        return label;
    }

    /// What passes between blocks where these nodes run. Without an analysis everything does.
    Flow flow_of(const std::vector<bool>& runs, const cachify::Analysis* analysis, std::size_t x) const {
        Flow flow;
        std::vector<Origins> origins(graph_.nodes.size());
        std::set<NodeId> stale;
        if (analysis)
            for (const auto& read : analysis->executions[x].stale) stale.insert(read.node);
        const auto pass = [&](NodeId value, int to) {
            for (const Origin& origin : origins[static_cast<std::size_t>(value)])
                if (origin.from != to) flow[{origin.from, to}].insert(origin);
        };
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
            const auto id = static_cast<NodeId>(n);
            const graph::Node& node = graph_.nodes[n];
            const int block = block_of(id);
            const cachify::Role role = plan_.extended.role(id);
            Origins& own = origins[n];
            if (role == cachify::Role::choice) {
                own = chosen(*plan_.extended.choice(id), analysis, x, origins, flow);
            } else if (role == cachify::Role::varying) {
                if (node.shape.size() >= 4) own = {{GraphDrawing::kLatents, -1}};
            } else if (stale.contains(id)) {
                if (block != kOutside) own = {{block, id}};
            } else if (role == cachify::Role::computed && runs[n]) {
                for (const NodeId input : node.inputs) {
                    if (block != kOutside)
                        pass(input, block);
                    else
                        own.insert(origins[static_cast<std::size_t>(input)].begin(),
                                   origins[static_cast<std::size_t>(input)].end());
                }
                if (block != kOutside) own = {{block, -1}};
            }
        }
        for (const auto& output : graph_.outputs) pass(output.node, GraphDrawing::kPrediction);
        return flow;
    }

    /// What readers of a module's output see.
    Origins chosen(const cachify::Choice& choice, const cachify::Analysis* analysis, std::size_t x,
                   const std::vector<Origins>& origins, Flow& flow) const {
        const ModuleId owner = graph_[choice.fresh].module;
        const int block = block_of_module_[static_cast<std::size_t>(owner)];
        if (!analysis || analysis->executions[x].module_runs[static_cast<std::size_t>(owner)])
            return origins[static_cast<std::size_t>(choice.fresh)];
        const bool whole = block >= 0 && blocks_[static_cast<std::size_t>(block)] == owner;
        if (!whole) return {{block, -1}};  // kept inside the block
        if (choice.loaded < 0) return {{block, choice.fresh}};
        // a change added to what comes in: that still passes through the block
        const auto& inputs = graph_[choice.loaded].inputs;
        for (const Origin& origin : origins[static_cast<std::size_t>(inputs[0])])
            if (origin.from != block) flow[{origin.from, block}].insert(origin);
        return {{block, inputs[1]}};
    }

    std::size_t bytes_of(NodeId id) const {
        const graph::Node& node = graph_[id];
        return static_cast<std::size_t>(element_count(node.shape)) * size_of(node.type);
    }

    GraphDrawing::BlockState block_state(std::size_t b, std::size_t x, const Flow& flow,
                                         const std::vector<double>& work) const {
        GraphDrawing::BlockState state;
        const auto& execution = plan_.analysis.executions[x];
        state.share = work_[b] == 0 ? 1 : std::min(1.0, work[b] / work_[b]);
        const bool read = std::any_of(flow.begin(), flow.end(), [&](const auto& link) {
            return link.first.first == static_cast<int>(b);
        });
        const bool runs = execution.module_runs[static_cast<std::size_t>(blocks_[b])];
        if (work[b] > 0)
            state.state = state.share < 0.9995 ? State::partly : State::computed;
        else
            state.state = read ? (runs && work_[b] == 0 ? State::computed : State::reused) : State::unneeded;
        const auto rule = plan_.extended.rule_of[static_cast<std::size_t>(blocks_[b])];
        if (state.state == State::reused && rule >= 0) {
            const Store store = plan_.schedule.rules[static_cast<std::size_t>(rule)].store;
            state.detail = store.rule == Store::Rule::delta      ? "last change added"
                           : store.rule == Store::Rule::forecast ? "extrapolated"
                           : store.rule == Store::Rule::mean     ? "mean over guidance"
                                                                 : "last output reused";
        }
        for (const auto& [kind, rules] : units_[b]) {
            auto& units = state.units.emplace_back();
            for (const std::size_t r : rules) {
                const auto inner = static_cast<std::size_t>(plan_.schedule.rules[r].module);
                units.push_back(plan_.analysis.is_reused(plan_.extended, plan_.schedule, x, r) ? State::reused
                                : execution.module_runs[inner] && work[b] > 0 ? State::computed
                                                                              : State::unneeded);
            }
        }
        return state;
    }

    void group(GraphDrawing& drawing, const std::vector<Flow>& flows, std::size_t most,
               std::size_t& left_out) const {
        struct Kind {
            GraphDrawing::Panel panel;
            std::vector<std::set<int>> steps;  ///< by branch
            double share = 0;
        };
        std::vector<Kind> kinds;
        const double full = plan_.cost_of_full().flops;
        for (std::size_t x = 0; x < flows.size(); ++x) {
            GraphDrawing::Panel panel;
            const auto work = work_of(nodes_run(x));
            for (std::size_t b = 0; b < blocks_.size(); ++b)
                panel.blocks.push_back(block_state(b, x, flows[x], work));
            for (const auto& link : drawing.links) {
                GraphDrawing::LinkState state;
                const auto found = flows[x].find({link.from, link.to});
                if (found != flows[x].end()) {
                    for (const Origin& origin : found->second) {
                        state.live = state.live || origin.kept < 0;
                        if (origin.kept >= 0) state.kept_bytes += bytes_of(origin.kept);
                    }
                }
                panel.links.push_back(state);
            }
            auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& known) {
                return known.panel.blocks == panel.blocks && known.panel.links == panel.links;
            });
            if (kind == kinds.end()) {
                const double share = full == 0 ? 1 : plan_.cost_of_execution(x).flops / full;
                kinds.push_back(
                    {std::move(panel),
                     std::vector<std::set<int>>(static_cast<std::size_t>(plan_.schedule.num_branches)),
                     share});
                kind = kinds.end() - 1;
            }
            const auto& execution = plan_.analysis.sequence[x];
            kind->steps[static_cast<std::size_t>(execution.branch)].insert(execution.step);
        }
        const auto count = [](const Kind& kind) {
            std::size_t steps = 0;
            for (const auto& branch : kind.steps) steps += branch.size();
            return steps;
        };
        left_out = kinds.size() > most ? kinds.size() - most : 0;
        while (kinds.size() > most)  // the rarest goes, of equal ones the last
            kinds.erase(std::min_element(kinds.rbegin(), kinds.rend(),
                                         [&](const Kind& a, const Kind& b) { return count(a) < count(b); })
                            .base() -
                        1);
        for (Kind& kind : kinds) {
            std::set<int> steps;
            for (const auto& branch : kind.steps) steps.insert(branch.begin(), branch.end());
            const bool both =
                std::all_of(kind.steps.begin(), kind.steps.end(), [&](const auto& s) { return s == steps; });
            kind.panel.steps = ranges({steps.begin(), steps.end()});
            kind.panel.detail =
                kind.share > 0.9995 ? "everything computed" : percent(kind.share) + " of a full step's work";
            if (!both)
                kind.panel.detail += kind.steps.back().empty()    ? ", unconditional half"
                                     : kind.steps.front().empty() ? ", conditional half"
                                                                  : ", at some of them one half of guidance";
            drawing.panels.push_back(std::move(kind.panel));
        }
    }

    const cachify::Plan& plan_;
    const graph::Graph& graph_;
    std::vector<int> block_of_module_;
    std::vector<ModuleId> blocks_;
    std::vector<std::map<ModuleKind, std::vector<std::size_t>>> units_;  ///< by block: rules
    std::vector<double> work_;                                           ///< of a full step, by block
};

}  // namespace

GraphDrawing drawing_of(const cachify::Plan& plan, std::size_t most_panels, std::size_t& left_out) {
    return Reader(plan).read(most_panels, left_out);
}

}  // namespace reprise::report
