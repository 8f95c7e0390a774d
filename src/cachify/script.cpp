#include "cachify/script.h"

#include <algorithm>

#include "cachify/combination.h"

namespace reprise::cachify {

using graph::ModuleId;
using graph::NodeId;

namespace {

class Writer {
  public:
    Writer(const Extended& extended, const Schedule& schedule, const Analysis& analysis)
        : extended_(extended), schedule_(schedule), analysis_(analysis) {}

    Script write() {
        for (const auto& rule : schedule_.rules)
            script_.units.push_back({module(rule.module).name, rule.module, rule.store});
        for (std::size_t x = 0; x < analysis_.sequence.size(); ++x) {
            auto& scene = script_.scenes.emplace_back(Script::Scene{analysis_.sequence[x], {}});
            for (std::size_t r = 0; r < script_.units.size(); ++r) scene.lines.push_back(line(x, r));
        }
        if (schedule_.num_modes == 1) weigh();
        for (std::size_t r = 0; r < script_.units.size(); ++r) hold(r);
        return std::move(script_);
    }

  private:
    const graph::Module& module(ModuleId id) const {
        return extended_.graph.modules[static_cast<std::size_t>(id)];
    }

    /// Whether a node is a module's own or of one inside it.
    bool is_inside(NodeId node, ModuleId outer) const {
        for (ModuleId m = extended_.graph[node].module; m > 0; m = module(m).parent)
            if (m == outer) return true;
        return false;
    }

    Script::Line line(std::size_t x, std::size_t r) const {
        const ModuleId own = script_.units[r].module;
        const auto& execution = analysis_.executions[x];
        if (!extended_.is_called(own, execution.module_runs)) return {Script::Action::hidden};
        if (execution.module_runs[static_cast<std::size_t>(own)]) {
            bool runs = false, kept = false;
            for (std::size_t n = 0; n < execution.must.size(); ++n) {
                runs = runs || (execution.must[n] && is_inside(static_cast<NodeId>(n), own));
                kept = kept || (execution.kept[n] && extended_.graph.nodes[n].module == own);
            }
            return {kept ? Script::Action::keep : runs ? Script::Action::run : Script::Action::left_out};
        }
        int terms = 0;
        for (const auto& read : execution.stale)
            if (extended_.graph[read.node].module == own) terms = std::max(terms, read.count);
        return terms == 0 ? Script::Line{Script::Action::left_out}
                          : Script::Line{Script::Action::recall, terms};
    }

    /// The weights where it is certain when values were kept.
    void weigh() {
        for (std::size_t r = 0; r < script_.units.size(); ++r) {
            const Store& store = script_.units[r].store;
            std::vector<std::vector<int>> when(static_cast<std::size_t>(schedule_.num_branches));
            for (std::size_t x = 0; x < script_.scenes.size(); ++x) {
                auto& [execution, lines] = script_.scenes[x];
                auto& own = when[static_cast<std::size_t>(execution.branch)];
                Script::Line& line = lines[r];
                if (analysis_.executions[x].module_runs[static_cast<std::size_t>(script_.units[r].module)])
                    own.insert(own.begin(), execution.evaluation);
                if (line.action != Script::Action::recall) continue;
                if (store.rule == Store::Rule::mean) {
                    line.weights.assign(when.size(), 1 / static_cast<float>(when.size()));
                } else {
                    line.weights = weights_at(store, own, execution.evaluation, execution.decision);
                    line.terms = std::min(line.terms, static_cast<int>(line.weights.size()));
                }
            }
        }
    }

    /// Backward: how many of the newest values are read later, whichever modes are chosen.
    void hold(std::size_t r) {
        const bool of_all = script_.units[r].store.rule == Store::Rule::mean;
        std::vector<int> needed(static_cast<std::size_t>(schedule_.num_branches), 0);
        for (std::size_t end = script_.scenes.size(); end > 0;) {
            std::size_t begin = end - 1;
            while (begin > 0 && alternatives_end(analysis_.sequence, begin - 1) == end) --begin;
            const auto after = needed;
            const auto branch = static_cast<std::size_t>(script_.scenes[begin].execution.branch);
            const int modes =
                static_cast<int>(schedule_.modes_at(script_.scenes[begin].execution.decision).size());
            std::vector<int> before(needed.size(), 0);
            if (static_cast<int>(end - begin) < modes) before = after;  // the half may be left out
            for (std::size_t x = begin; x < end; ++x) {
                Script::Line& line = script_.scenes[x].lines[r];
                line.held = after[branch];
                auto own = after;
                if (line.action == Script::Action::keep) own[branch] = std::max(0, own[branch] - 1);
                if (line.action == Script::Action::recall)
                    for (std::size_t b = 0; b < own.size(); ++b)
                        if (of_all || b == branch) own[b] = std::max(own[b], line.terms);
                for (std::size_t b = 0; b < own.size(); ++b) before[b] = std::max(before[b], own[b]);
            }
            needed = before;
            end = begin;
        }
    }

    const Extended& extended_;
    const Schedule& schedule_;
    const Analysis& analysis_;
    Script script_;
};

}  // namespace

Script make_script(const Extended& extended, const Schedule& schedule, const Analysis& analysis) {
    return Writer(extended, schedule, analysis).write();
}

}  // namespace reprise::cachify
