#include "cachify/analysis.h"

#include <algorithm>
#include <map>

#include "cachify/combination.h"
#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::ModuleId;
using graph::NodeId;

std::size_t alternatives_end(const Sequence& sequence, std::size_t begin) {
    std::size_t end = begin;
    while (end < sequence.size() && sequence[end].evaluation == sequence[begin].evaluation &&
           sequence[end].branch == sequence[begin].branch)
        ++end;
    return end;
}

Sequence make_sequence(const std::vector<int>& steps_of_evaluations, const Schedule& schedule, bool probed) {
    Sequence sequence;
    for (std::size_t e = 0; e < steps_of_evaluations.size(); ++e)
        for (int branch = 0; branch < schedule.num_branches; ++branch) {
            const int step = steps_of_evaluations[e];
            const int evaluation = static_cast<int>(e);
            const int decision = schedule.count == Count::steps ? step : evaluation;
            std::vector<int> modes = schedule.modes_at(decision);
            std::erase_if(modes,
                          [&](int mode) { return schedule.stand_in(branch, decision, mode) != nullptr; });
            if (probed && !modes.empty())
                sequence.push_back({evaluation, step, branch, decision, Execution::kProbe});
            for (const int mode : modes) sequence.push_back({evaluation, step, branch, decision, mode});
        }
    return sequence;
}

namespace {

bool asks_reuse(const Schedule::Rule& rule, const Execution& execution) {
    return rule.holds(execution.mode) && rule.reuse.at(static_cast<std::size_t>(execution.branch))
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
        const Sequence& sequence = result_.sequence;
        for (std::size_t begin = 0; begin < sequence.size(); begin = alternatives_end(sequence, begin)) {
            groups_.push_back({begin, alternatives_end(sequence, begin), {}});
            result_.path.push_back(groups_.back().end - 1);
        }
        check_that_reuse_follows_a_run();
        needed_.assign(graph_.nodes.size() * static_cast<std::size_t>(result_.num_branches), 0);
        for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) demand(*group);
        mark_prologue();
        return std::move(result_);
    }

  private:
    /// Executions of one evaluation and branch, of which one is run.
    struct Group {
        std::size_t begin = 0, end = 0;
        std::vector<bool> undecided = {};  ///< by module: runs in some modes and not in others
    };

    /// Whether a mode may be chosen in which the branch is not evaluated.
    bool may_be_left_out(const Group& group) const {
        const Execution& first = result_.sequence[group.begin];
        const std::size_t evaluated = group.end - group.begin - (first.mode == Execution::kProbe ? 1 : 0);
        return evaluated < schedule_.modes_at(first.decision).size();
    }

    /// Forward over the sequence, as wrapped modules would run: fills module_runs. It counts how often each
    /// has run; a run counts where it is one in every mode.
    void check_that_reuse_follows_a_run() {
        std::vector<std::vector<int>> ran(static_cast<std::size_t>(result_.num_branches),
                                          std::vector<int>(graph_.modules.size(), 0));
        for (Group& group : groups_) {
            std::vector<bool> in_all(graph_.modules.size(), true);
            std::vector<bool> in_some(graph_.modules.size(), false);
            for (std::size_t x = group.begin; x < group.end; ++x) {
                auto& runs = result_.executions[x].module_runs;
                runs.assign(graph_.modules.size(), true);
                if (result_.sequence[x].mode == Execution::kProbe) continue;
                run_modules(result_.sequence[x], ran, runs);
                for (std::size_t m = 0; m < runs.size(); ++m) {
                    in_all[m] = in_all[m] && runs[m];
                    in_some[m] = in_some[m] || runs[m];
                }
            }
            for (std::size_t m = 0; m < in_all.size(); ++m)
                group.undecided.push_back(in_some[m] && !in_all[m]);
            if (result_.sequence[group.begin].mode == Execution::kProbe)
                result_.executions[group.begin].module_runs = in_all;
            if (may_be_left_out(group)) continue;
            auto& own = ran[static_cast<std::size_t>(result_.sequence[group.begin].branch)];
            for (std::size_t m = 0; m < in_all.size(); ++m) own[m] += in_all[m] ? 1 : 0;
        }
    }

    void run_modules(const Execution& execution, const std::vector<std::vector<int>>& ran,
                     std::vector<bool>& runs) const {
        for (std::size_t m = 1; m < graph_.modules.size(); ++m) {  // a parent comes before its children
            const ModuleId parent = graph_.modules[m].parent;
            if (!runs[static_cast<std::size_t>(parent)] || !is_in_running_variant(m, execution)) {
                runs[m] = false;
                continue;
            }
            const auto rule_index = extended_.rule_of[m];
            if (rule_index < 0) continue;
            const auto& rule = schedule_.rules[static_cast<std::size_t>(rule_index)];
            if (!asks_reuse(rule, execution)) continue;
            runs[m] = false;
            const bool all_branches = rule.store.rule == Store::Rule::mean;
            const int needed = least_terms_at(rule.store, execution.decision);
            for (int b = 0; b < result_.num_branches; ++b) {
                if (!all_branches && b != execution.branch) continue;
                const int times = ran[static_cast<std::size_t>(b)][m];
                if (times == 0)
                    usage_error(
                        "module '{}' is to be reused at step {} but has not run before; let it run at "
                        "step 0",
                        graph_.modules[m].name, execution.step);
                if (times < needed)
                    usage_error(
                        "module '{}' is to be reused at step {} as a sum of its last {} outputs but is "
                        "certain to have run only {} time{} before",
                        graph_.modules[m].name, execution.step, needed, times, times == 1 ? "" : "s");
            }
        }
    }

    bool is_in_running_variant(std::size_t module, const Execution& execution) const {
        const int own = extended_.variant_of[module];
        return own < 0 || own == schedule_.variant(graph_.modules[module].parent, execution.branch,
                                                   execution.decision, execution.mode);
    }

    int& needed(NodeId node, int branch) {
        return needed_[static_cast<std::size_t>(node) * static_cast<std::size_t>(result_.num_branches) +
                       static_cast<std::size_t>(branch)];
    }

    void read_stale(std::size_t x, NodeId node, int branch, int count) {
        result_.executions[x].stale.push_back({node, branch, count});
    }

    /// Backward through one evaluation of a branch: what any of its modes leaves to be kept by those before.
    void demand(const Group& group) {
        const std::vector<int> after = needed_;
        std::vector<int> before = may_be_left_out(group) ? after : std::vector<int>(after.size(), 0);
        for (std::size_t x = group.begin; x < group.end; ++x) {
            needed_ = after;
            demand(x, group);
            if (result_.sequence[x].mode == Execution::kProbe) continue;
            for (std::size_t i = 0; i < before.size(); ++i) before[i] = std::max(before[i], needed_[i]);
            if (result_.sequence[group.begin].mode != Execution::kProbe) continue;
            // What a probe computes on the way is kept then and there.
            auto& first = result_.executions[group.begin].kept;
            const auto& kept = result_.executions[x].kept;
            for (std::size_t n = 0; n < kept.size(); ++n) first[n] = first[n] || kept[n];
        }
        needed_ = std::move(before);
    }

    /// Backward through one execution, from what it must yield.
    void demand(std::size_t x, const Group& group) {
        auto& execution = result_.executions[x];
        const int branch = result_.sequence[x].branch;
        const bool probe = result_.sequence[x].mode == Execution::kProbe;
        auto& must = execution.must;
        must.assign(graph_.nodes.size(), false);
        execution.kept.assign(graph_.nodes.size(), false);
        std::vector<bool> demanded(graph_.nodes.size(), false);
        for (std::size_t i = probe ? extended_.first_probe() : 0; i < graph_.outputs.size(); ++i)
            demanded[static_cast<std::size_t>(graph_.outputs[i].node)] = true;
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
            if (probe || !extended_.persistent[n]) continue;
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
            if (probe) check_probed(x, group, id);
            switch (extended_.roles[n]) {
                case Role::weight:
                case Role::fixed:
                    break;
                case Role::prologue:
                    result_.prologue[n] = true;
                    break;
                case Role::varying:
                    if (graph_.nodes[n].attrs<graph::InputAttrs>().latents) execution.reads_latents = true;
                    break;
                case Role::choice:
                case Role::made: {
                    const NodeId source = extended_.resolved(id, execution.module_runs);
                    if (source != id)
                        demanded[static_cast<std::size_t>(source)] = true;
                    else if (const Choice* choice = extended_.choice(id))
                        demand_combination(x, *choice);
                    else
                        read_kept(x, id);
                    break;
                }
                case Role::computed:
                    if (!execution.module_runs[static_cast<std::size_t>(graph_.nodes[n].module)]) {
                        read_kept(x, id);
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

    void read_kept(std::size_t x, NodeId id) {
        const auto module = static_cast<std::size_t>(graph_[id].module);
        if (!extended_.persistent[static_cast<std::size_t>(id)])
            failure("planner: '{}' is read while its module is reused", graph_.modules[module].name);
        read_stale(x, id, result_.sequence[x].branch, 1);
    }

    /// What a decision looks at must not depend on the decision, and be there.
    void check_probed(std::size_t x, const Group& group, NodeId id) const {
        const Choice* choice = extended_.choice(id);
        const Makers* makers = extended_.made(id);
        if (choice == nullptr && makers == nullptr && extended_.role(id) != Role::computed) return;
        const auto module = static_cast<std::size_t>(choice != nullptr ? choice->module : graph_[id].module);
        const bool undecided_variant =
            makers != nullptr && std::any_of(makers->nodes.begin(), makers->nodes.end(), [&](NodeId maker) {
                return group.undecided[static_cast<std::size_t>(graph_[maker].module)];
            });
        if (group.undecided[module] || undecided_variant)
            usage_error("a decision whether to reuse '{}' looks at a value that depends on it",
                        graph_.modules[module].name);
        const auto& runs = result_.executions[x].module_runs;
        const bool kept =
            choice != nullptr || makers != nullptr || extended_.persistent[static_cast<std::size_t>(id)];
        const bool is_called = module == 0 || extended_.is_called(static_cast<ModuleId>(module), runs);
        if (!runs[module] && !(kept && is_called))
            usage_error("a decision looks at a value of '{}', which is inside what is reused at step {}",
                        graph_.modules[module].name, result_.sequence[x].step);
    }

    void demand_combination(std::size_t x, const Choice& choice) {
        const Store store = schedule_.rules[choice.rule].store;
        if (!is_combination(store)) failure("planner: a choice for the {} rule", to_string(store));
        const Execution& now = result_.sequence[x];
        if (store.rule == Store::Rule::mean)
            for (int b = 0; b < result_.num_branches; ++b) read_stale(x, choice.fresh, b, 1);
        else
            read_stale(x, choice.fresh, now.branch, terms_at(store, now.decision));
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
    std::vector<Group> groups_;
    std::vector<int> needed_;  ///< by node and branch: how many of the executions before are read later on
};

}  // namespace

bool Analysis::is_reused(const Extended& extended, const Schedule& schedule, std::size_t execution,
                         std::size_t rule) const {
    const ModuleId module = schedule.rules[rule].module;
    const auto& runs = executions[execution].module_runs;
    return extended.is_called(module, runs) && !runs[static_cast<std::size_t>(module)];
}

Analysis analyse(const Extended& extended, const Schedule& schedule, const Sequence& sequence) {
    return Analyser(extended, schedule, sequence).run();
}

}  // namespace reprise::cachify
