#include "cachify/analysis.h"

#include <algorithm>
#include <map>

#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::ModuleId;
using graph::NodeId;

Sequence make_sequence(const std::vector<int>& steps_of_evaluations, const Schedule& schedule) {
    Sequence sequence;
    for (std::size_t e = 0; e < steps_of_evaluations.size(); ++e)
        for (int branch = 0; branch < schedule.num_branches; ++branch) {
            const int step = steps_of_evaluations[e];
            const int evaluation = static_cast<int>(e);
            const int decision = schedule.count == Count::steps ? step : evaluation;
            if (schedule.stand_in(branch, decision) == nullptr)
                sequence.push_back({evaluation, step, branch, decision});
        }
    return sequence;
}

namespace {

bool asks_reuse(const Schedule::Rule& rule, const Execution& execution) {
    return rule.reuse.at(static_cast<std::size_t>(execution.branch))
        .at(static_cast<std::size_t>(execution.decision));
}

class Analyser {
  public:
    Analyser(const Extended& extended, const Schedule& schedule, const Sequence& sequence)
        : extended_(extended), graph_(extended.graph), schedule_(schedule) {
        result_.sequence = sequence;
        result_.num_branches = schedule.num_branches;
        result_.executions.resize(sequence.size());
        result_.prologue.assign(graph_.nodes.size(), false);
    }

    Analysis run() {
        check_that_reuse_follows_a_run();
        needed_.assign(graph_.nodes.size() * static_cast<std::size_t>(result_.num_branches), 0);
        for (std::size_t x = result_.sequence.size(); x-- > 0;) demand(x);
        mark_prologue();
        return std::move(result_);
    }

  private:
    /// Forward over the sequence, as wrapped modules would run: fills module_runs.
    void check_that_reuse_follows_a_run() {
        std::vector<std::vector<bool>> ran(static_cast<std::size_t>(result_.num_branches),
                                           std::vector<bool>(graph_.modules.size(), false));
        for (std::size_t x = 0; x < result_.sequence.size(); ++x) {
            const Execution& execution = result_.sequence[x];
            auto& runs = result_.executions[x].module_runs;
            runs.assign(graph_.modules.size(), true);
            for (std::size_t m = 1; m < graph_.modules.size(); ++m) {  // a parent comes before its children
                if (!runs[static_cast<std::size_t>(graph_.modules[m].parent)]) {
                    runs[m] = false;
                    continue;
                }
                const auto rule_index = extended_.rule_of[m];
                if (rule_index < 0) continue;
                const auto& rule = schedule_.rules[static_cast<std::size_t>(rule_index)];
                if (!asks_reuse(rule, execution)) {
                    ran[static_cast<std::size_t>(execution.branch)][m] = true;
                    continue;
                }
                runs[m] = false;
                const bool all_branches = rule.store.rule == Store::Rule::mean;
                for (int b = 0; b < result_.num_branches; ++b)
                    if ((all_branches || b == execution.branch) && !ran[static_cast<std::size_t>(b)][m])
                        usage_error(
                            "module '{}' is to be reused at step {} but has not run before; let it run at "
                            "step 0",
                            graph_.modules[m].name, execution.step);
            }
        }
    }

    int& needed(NodeId node, int branch) {
        return needed_[static_cast<std::size_t>(node) * static_cast<std::size_t>(result_.num_branches) +
                       static_cast<std::size_t>(branch)];
    }

    void read_stale(std::size_t x, NodeId node, int branch, int count) {
        result_.executions[x].stale.push_back({node, branch, count});
    }

    /// Backward through one execution, from what it must yield.
    void demand(std::size_t x) {
        auto& execution = result_.executions[x];
        const int branch = result_.sequence[x].branch;
        auto& must = execution.must;
        must.assign(graph_.nodes.size(), false);
        execution.kept.assign(graph_.nodes.size(), false);
        std::vector<bool> demanded(graph_.nodes.size(), false);
        for (const auto& output : graph_.outputs) demanded[static_cast<std::size_t>(output.node)] = true;
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
            if (!extended_.persistent[n]) continue;
            int& count = needed(static_cast<NodeId>(n), branch);
            if (count == 0 || !execution.module_runs[static_cast<std::size_t>(graph_.nodes[n].module)])
                continue;
            demanded[n] = true;
            execution.kept[n] = true;
            --count;
        }
        for (std::size_t n = graph_.nodes.size(); n-- > 0;) {
            if (!demanded[n]) continue;
            const auto id = static_cast<NodeId>(n);
            switch (extended_.roles[n]) {
                case Role::weight:
                case Role::fixed:
                    break;
                case Role::prologue:
                    result_.prologue[n] = true;
                    break;
                case Role::varying:
                    if (graph_.nodes[n].shape.size() >= 4) execution.reads_latents = true;
                    break;
                case Role::choice:
                    demand_choice(x, *extended_.choice(id), demanded);
                    break;
                case Role::computed:
                    if (!execution.module_runs[static_cast<std::size_t>(graph_.nodes[n].module)]) {
                        if (!extended_.persistent[n])
                            failure("planner: '{}' is read while its module is reused",
                                    graph_.modules[static_cast<std::size_t>(graph_.nodes[n].module)].name);
                        read_stale(x, id, branch, 1);
                        break;
                    }
                    must[n] = true;
                    for (const NodeId input : graph_.nodes[n].inputs)
                        demanded[static_cast<std::size_t>(input)] = true;
                    break;
            }
        }
        for (const auto& read : execution.stale) {
            int& count = needed(read.node, read.branch);
            count = std::max(count, read.count);
        }
    }

    void demand_choice(std::size_t x, const Choice& choice, std::vector<bool>& demanded) {
        const auto& execution = result_.executions[x];
        const ModuleId module = graph_[choice.fresh].module;
        if (execution.module_runs[static_cast<std::size_t>(module)]) {
            demanded[static_cast<std::size_t>(choice.fresh)] = true;
            return;
        }
        const Store store = schedule_.rules[choice.rule].store;
        switch (store.rule) {
            case Store::Rule::output:
                failure("planner: a choice for the output rule");
            case Store::Rule::delta:
                demanded[static_cast<std::size_t>(choice.loaded)] = true;
                break;
            case Store::Rule::forecast:
                read_stale(x, choice.fresh, result_.sequence[x].branch, store.order + 1);
                break;
            case Store::Rule::drop:
                failure("planner: a module cannot be dropped");
            case Store::Rule::mean:
                for (int b = 0; b < result_.num_branches; ++b) read_stale(x, choice.fresh, b, 1);
                break;
        }
    }

    /// What the demanded prologue nodes need in turn.
    void mark_prologue() {
        for (std::size_t n = graph_.nodes.size(); n-- > 0;) {
            if (!result_.prologue[n]) continue;
            for (const NodeId input : graph_.nodes[n].inputs)
                if (extended_.role(input) == Role::prologue)
                    result_.prologue[static_cast<std::size_t>(input)] = true;
        }
    }

    const Extended& extended_;
    const Graph& graph_;
    const Schedule& schedule_;
    Analysis result_;
    std::vector<int> needed_;  ///< by node and branch: how many of the executions before are read later on
};

}  // namespace

bool Analysis::is_reused(const Extended& extended, const Schedule& schedule, std::size_t execution,
                         std::size_t rule) const {
    const ModuleId module = schedule.rules[rule].module;
    const ModuleId parent = extended.graph.modules[static_cast<std::size_t>(module)].parent;
    return executions[execution].module_runs[static_cast<std::size_t>(parent)] &&
           !executions[execution].module_runs[static_cast<std::size_t>(module)];
}

Analysis analyse(const Extended& extended, const Schedule& schedule, const Sequence& sequence) {
    return Analyser(extended, schedule, sequence).run();
}

}  // namespace reprise::cachify
