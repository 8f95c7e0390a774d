#include "report/plan_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "report/graph_drawing.h"
#include "report/plan_blocks.h"
#include "report/plan_view.h"
#include "report/text.h"

namespace reprise::report {

namespace {

using graph::ModuleId;
using graph::NodeId;
using State = GraphDrawing::State;
using cachify::Store;

class Reader {
  public:
    explicit Reader(const cachify::Plan& plan)
        : plan_(plan),
          graph_(plan.extended.graph),
          map_(plan),
          blocks_(map_.modules()),
          work_(map_.work_of(plan.full_analysis.executions.front().must)) {
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
        const Flow full = map_.flow_at(-1);
        collect(full);
        for (const auto& [link, origins] : full)
            if (link.first >= 0 && link.second > link.first + 1)
                drawing.skips.push_back({link.first, link.second});
        for (std::size_t x = 0; x < plan_.analysis.executions.size(); ++x) {
            const bool probe = plan_.analysis.sequence[x].mode == cachify::Execution::kProbe;
            flows.push_back(probe ? Flow{} : map_.flow_at(static_cast<std::ptrdiff_t>(x)));
            collect(flows.back());
        }
        for (const auto& [from, to] : links) drawing.links.push_back({from, to});
        group(drawing, flows, most_panels, left_out);
        return drawing;
    }

  private:
    const graph::Module& module(ModuleId id) const { return graph_.modules[static_cast<std::size_t>(id)]; }
    /// The rules about modules inside each block, by kind.
    void find_units() {
        units_.resize(blocks_.size());
        const auto& rules = plan_.schedule.rules;
        for (std::size_t r = 0; r < rules.size(); ++r) {
            const int block = map_.block_of(rules[r].module);
            if (block < 0 || blocks_[static_cast<std::size_t>(block)] == rules[r].module) continue;
            units_[static_cast<std::size_t>(block)][module(rules[r].module).kind].push_back(r);
        }
    }

    std::string label_of(std::size_t block, ModuleKind kind, const std::vector<std::size_t>& rules) const {
        constexpr std::size_t kNamed = 3, kLongest = 28;
        std::vector<std::string> names;
        for (const std::size_t r : rules)
            names.push_back(
                module(plan_.schedule.rules[r].module).name.substr(module(blocks_[block]).name.size() + 1));
        std::string joined = joined_names(names);
        if (rules.size() <= kNamed && joined.size() <= kLongest) return joined;
        std::string label(name_of(kind));
        std::replace(label.begin(), label.end(), '_', ' ');
        return label;
    }

    /// The module, this one or one around it, that is reused there; -1 where none is.
    ModuleId reused_around(ModuleId id, const cachify::Analysis::PerExecution& execution) const {
        ModuleId reused = -1;
        for (; id > 0; id = module(id).parent)
            if (!execution.module_runs[static_cast<std::size_t>(id)]) reused = id;
        return reused;
    }

    std::string how_reused(ModuleId id, bool as_one) const {
        const auto rule = plan_.extended.rule_of[static_cast<std::size_t>(id)];
        std::string text = "last output reused";
        if (rule >= 0) switch (plan_.schedule.rules[static_cast<std::size_t>(rule)].store.rule) {
                case Store::Rule::delta:
                    text = "last change added";
                    break;
                case Store::Rule::forecast:
                    text = "extrapolated";
                    break;
                case Store::Rule::delta_forecast:
                    text = "change extrapolated";
                    break;
                case Store::Rule::mean:
                    text = "mean over guidance";
                    break;
                default:
                    break;
            }
        if (as_one && text.starts_with("last ")) text.erase(0, 5);
        return as_one ? text + ", as one" : text;
    }

    /// Of what a block computes there for later steps.
    std::size_t kept_bytes(std::size_t b, const cachify::Analysis::PerExecution& execution) const {
        std::size_t bytes = 0;
        for (std::size_t n = 0; n < execution.kept.size(); ++n)
            if (execution.kept[n] && map_.last_block_of(graph_.nodes[n].module) == static_cast<int>(b))
                bytes += map_.bytes_of(static_cast<NodeId>(n));
        return bytes;
    }

    GraphDrawing::BlockState block_state(std::size_t b, std::size_t x, const Flow& flow,
                                         const std::vector<double>& work) const {
        GraphDrawing::BlockState state;
        const auto& execution = plan_.analysis.executions[x];
        state.share = work_[b] == 0 ? 1 : std::min(1.0, work[b] / work_[b]);
        const bool read = std::any_of(flow.begin(), flow.end(), [&](const auto& link) {
            return link.first.first == static_cast<int>(b);
        });
        const ModuleId reused = reused_around(blocks_[b], execution);
        const bool as_one = reused >= 0 && reused != blocks_[b];
        if (work[b] > 0 || (work_[b] == 0 && reused < 0))
            state.state = state.share < 0.9995 ? State::partly : State::computed;
        else
            state.state = read || as_one ? State::reused : State::unneeded;
        if (state.state == State::reused && reused >= 0)
            state.detail = how_reused(reused, as_one);
        else if (const std::size_t bytes = kept_bytes(b, execution); bytes > 0 && work[b] > 0)
            state.detail = human_bytes(static_cast<double>(bytes)) + " kept";
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

    /// Details may differ: at the last full step nothing is kept.
    static bool same_look(const GraphDrawing::BlockState& a, const GraphDrawing::BlockState& b) {
        return a.state == b.state && a.share == b.share && a.units == b.units;
    }

    void group(GraphDrawing& drawing, const std::vector<Flow>& flows, std::size_t most,
               std::size_t& left_out) const {
        struct Kind {
            GraphDrawing::Panel panel;
            std::vector<std::set<int>> steps;  ///< by branch
            double share = 0;
            bool decided = false;  ///< while running, whether it is one of these steps
        };
        std::vector<Kind> kinds;
        const double full = plan_.cost_of_full().flops;
        for (std::size_t x = 0; x < flows.size(); ++x) {
            const auto& execution = plan_.analysis.sequence[x];
            if (execution.mode == cachify::Execution::kProbe) continue;
            GraphDrawing::Panel panel;
            const auto work = map_.work_of(map_.nodes_run(x));
            for (std::size_t b = 0; b < blocks_.size(); ++b)
                panel.blocks.push_back(block_state(b, x, flows[x], work));
            for (const auto& link : drawing.links) {
                GraphDrawing::LinkState state;
                const auto found = flows[x].find({link.from, link.to});
                if (found != flows[x].end()) {
                    for (const Origin& origin : found->second) {
                        state.live = state.live || origin.kept < 0;
                        if (origin.kept >= 0) state.kept_bytes += map_.bytes_of(origin.kept);
                    }
                }
                panel.links.push_back(state);
            }
            auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& known) {
                return std::equal(panel.blocks.begin(), panel.blocks.end(), known.panel.blocks.begin(),
                                  same_look) &&
                       known.panel.links == panel.links;
            });
            if (kind == kinds.end()) {
                const double share = full == 0 ? 1 : plan_.cost_of_execution(x).flops / full;
                kinds.push_back(
                    {std::move(panel),
                     std::vector<std::set<int>>(static_cast<std::size_t>(plan_.schedule.num_branches)),
                     share});
                kind = kinds.end() - 1;
            }
            kind->decided = kind->decided || plan_.schedule.modes_at(execution.decision).size() > 1;
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
            if (kind.decided) kind.panel.detail += ", where decided so";
            if (!both)
                kind.panel.detail += kind.steps.back().empty()    ? ", unconditional half"
                                     : kind.steps.front().empty() ? ", conditional half"
                                                                  : ", at some of them one half of guidance";
            drawing.panels.push_back(std::move(kind.panel));
        }
    }

    const cachify::Plan& plan_;
    const graph::Graph& graph_;
    PlanBlocks map_;
    const std::vector<ModuleId>& blocks_;
    std::vector<double> work_;                                           ///< of a full step, by block
    std::vector<std::map<ModuleKind, std::vector<std::size_t>>> units_;  ///< by block: rules
};

}  // namespace

std::string plan_drawing(const cachify::Plan& plan, const PlanView& view, std::string_view denoiser,
                         const std::string& title, std::size_t most_panels) {
    std::size_t left_out = 0;
    GraphDrawing drawing = Reader(plan).read(most_panels, left_out);
    drawing.title = title;
    drawing.subtitle = fmt::format(
        "{}, {} steps{}; {}{} of the work saved, {} kept between steps{}", denoiser, view.num_steps,
        view.num_branches > 1 ? ", guidance as two passes" : "", view.decided ? "up to " : "",
        percent(1 - view.total_flops / std::max(1.0, view.full_total_flops)),
        human_bytes(static_cast<double>(view.kept_bytes)),
        left_out > 0 ? fmt::format("; {} rarer kinds of step are not shown", left_out) : "");
    return graph_drawing(drawing);
}

}  // namespace reprise::report
