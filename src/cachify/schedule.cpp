#include "cachify/schedule.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "cachify/combination.h"
#include "cachify/filter.h"
#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::Module;
using graph::ModuleId;

namespace {

std::string kinds_text(const std::vector<ModuleKind>& kinds) {
    std::vector<std::string_view> names;
    for (const ModuleKind kind : kinds) names.push_back(name_of(kind));
    return fmt::format("{}", fmt::join(names, ", "));
}

bool is_about_part(const Entry& entry, const Module& module) {
    return entry.part.empty() ? module.part.empty() : fnmatch(module.part, entry.part);
}

/// The parts that a graph has, for the message that an entry is about none of them.
std::string parts_of(const Graph& graph) {
    std::set<std::string> parts;
    for (const Module& module : graph.modules)
        if (!module.part.empty()) parts.insert(module.part);
    return parts.empty() ? "it has no parts but its own" : fmt::format("it has {}", fmt::join(parts, ", "));
}

/// The names of the modules that an entry is shown, shortened, for the message that nothing matched.
std::string candidates(const Graph& graph, const Entry& entry) {
    constexpr std::size_t kShown = 6;
    std::vector<std::string_view> names;
    for (const Module& module : graph.modules)
        if (is_about_part(entry, module) && is_about(entry, module.kind))
            names.push_back(module.name_in_part());
    if (names.empty()) return "there is none";
    const bool more = names.size() > kShown;
    if (more) names.resize(kShown);
    return fmt::format("there are {}{}", fmt::join(names, ", "), more ? ", ..." : "");
}

/// That an entry matches nothing, for a message about it.
std::string no_match(const Graph& graph, const Entry& entry) {
    const auto of_part = [&](const Module& module) { return is_about_part(entry, module); };
    if (std::none_of(graph.modules.begin(), graph.modules.end(), of_part))
        return fmt::format("is about part '{}' of the {}; {}", entry.part, graph.name, parts_of(graph));
    return fmt::format("({}) matches no module of kind {} in {}the {}; {}",
                       entry.wildcard_or_filter_func.text(), kinds_text(entry.kinds),
                       entry.part.empty() ? "" : fmt::format("part '{}' of ", entry.part), graph.name,
                       candidates(graph, entry));
}

constexpr std::string_view kBranches[] = {"unconditional", "conditional"};

/// Fills a schedule entry by entry.
class Scheduler {
  public:
    Scheduler(const Graph& graph, int num_steps, int num_branches, Count count)
        : graph_(graph), schedule_{num_steps, num_branches, count, {}, {}} {}

    /// The rules of a configuration; of several entries that match a module the last holds.
    void add(const Config& config) {
        chosen_.clear();
        branches_.clear();
        for (std::size_t i = 0; i < config.size(); ++i) choose(config[i], i);
    }

    /// Error (usage) unless a linear store has weights for each step at which it reuses, and for no run of
    /// more steps.
    void check_weights(const Entry& entry, const std::vector<bool>& reused, std::string_view name) const {
        const Store& store = entry.store;
        if (store.rule != Store::Rule::linear && store.rule != Store::Rule::delta_linear) return;
        const auto& weights = store.weights;
        if (weights.size() > 1 && weights.size() > reused.size())
            usage_error("'{}' is kept as {} with weights for {} steps; this run has {}", name,
                        to_string(store), weights.size(), reused.size());
        for (std::size_t step = 0; step < reused.size(); ++step) {
            if (!reused[step]) continue;
            const std::size_t own = weights.size() == 1 ? 0 : step;
            if (own >= weights.size() || weights[own].empty())
                usage_error("'{}' is kept as {} and reused at step {}, for which it has no weights", name,
                            to_string(store), step);
            for (const double weight : weights[own])
                if (!fits_f32(weight))
                    usage_error("'{}' is kept as {} with a weight at step {} that f32 cannot hold", name,
                                to_string(store), step);
        }
    }

    /// Puts what was added last into force in mode `mode`, or in all of them.
    void commit(std::optional<int> mode) {
        for (const auto& [branch, entry] : branches_) {
            check_weights(*entry, steps(*entry), kBranches[branch]);
            auto& rules = schedule_.branch_rules;
            const auto own = modes(*entry, mode);
            auto rule = std::find_if(rules.begin(), rules.end(),
                                     [b = branch](const auto& known) { return known.branch == b; });
            if (rule == rules.end()) rule = rules.insert(rule, {branch, entry->store, steps(*entry), own});
            if (rule->store != entry->store || rule->reuse != steps(*entry))
                usage_error(
                    "the {} half of guidance is reused as {} in one mode and as {}, or at other steps, in "
                    "another",
                    kBranches[branch], to_string(rule->store), to_string(entry->store));
            join(rule->modes, own);
        }
        for (const auto& [id, entry] : chosen_) commit(id, *entry, mode);
    }

    void set_modes(int count) { schedule_.num_modes = count; }

    Schedule take() {
        check_branch_rules();
        std::sort(schedule_.rules.begin(), schedule_.rules.end(),
                  [](const auto& a, const auto& b) { return a.module < b.module; });
        return std::move(schedule_);
    }

  private:
    void choose(const Entry& entry, std::size_t number) {
        if (is_about(entry, ModuleKind::guidance) && !entry.part.empty())
            usage_error("cache entry {}: guidance belongs to no part, but its part is '{}'", number,
                        entry.part);
        bool matched = is_about(entry, ModuleKind::guidance) && choose_branches(entry, number);
        if (entry.decide) decide(*entry.decide, number);
        for (std::size_t m = 1; m < graph_.modules.size(); ++m) {
            const Module& module = graph_.modules[m];
            if (!matches(entry, module) || module.outputs.empty()) continue;
            matched = true;
            if (entry.store.rule == Store::Rule::drop)
                usage_error("cache entry {}: only a half of guidance can be dropped, not '{}'", number,
                            module.name);
            chosen_[static_cast<ModuleId>(m)] = &entry;
        }
        if (!matched) usage_error("cache entry {} {}", number, no_match(graph_, entry));
    }

    /// Notes what an entry says of the halves of guidance; whether it matched one.
    bool choose_branches(const Entry& entry, std::size_t number) {
        if (schedule_.num_branches != 2)
            usage_error(
                "cache entry {} reuses a half of guidance, which needs guidance as two passes (split)",
                number);
        if (entry.store.rule == Store::Rule::mean ||
            (keeps_differences(entry.store) && is_combination(entry.store)))
            usage_error(
                "cache entry {}: a half of guidance has no such store; its store is output, delta, "
                "forecast, linear or drop",
                number);
        bool matched = false;
        for (int branch = 0; branch < 2; ++branch) {
            if (!entry.wildcard_or_filter_func.matches(kBranches[branch])) continue;
            matched = true;
            branches_[branch] = &entry;
        }
        return matched;
    }

    void decide(const Decision& decision, std::size_t number) {
        if (schedule_.decision && *schedule_.decision != decision)
            usage_error("cache entry {}: all entries that are decided while running need the same decision",
                        number);
        if (schedule_.count != Count::steps)
            usage_error("what is decided while running counts steps, not evaluations");
        schedule_.decision = decision;
        schedule_.num_modes = 2;
    }

    void commit(ModuleId id, const Entry& entry, std::optional<int> mode) {
        const auto reused = steps(entry);
        if (std::find(reused.begin(), reused.end(), true) == reused.end()) return;
        const Module& module = graph_.modules[static_cast<std::size_t>(id)];
        check_weights(entry, reused, module.name);
        if (module.invocations > 1)
            usage_error("module '{}' runs {} times in one pass of the {} and cannot be reused", module.name,
                        module.invocations, graph_.name);
        const auto own = modes(entry, mode);
        auto rule = std::find_if(schedule_.rules.begin(), schedule_.rules.end(),
                                 [&](const auto& known) { return known.module == id; });
        const std::vector<std::vector<bool>> reuse(static_cast<std::size_t>(schedule_.num_branches), reused);
        if (rule == schedule_.rules.end()) rule = schedule_.rules.insert(rule, {id, entry.store, reuse, own});
        if (rule->store != entry.store || rule->reuse != reuse)
            usage_error("module '{}' is kept as {} in one mode and as {}, or at other steps, in another",
                        module.name, to_string(rule->store), to_string(entry.store));
        join(rule->modes, own);
    }

    std::vector<bool> steps(const Entry& entry) const {
        std::vector<bool> result;
        for (int step = 0; step < schedule_.num_steps; ++step)
            result.push_back(!(entry.decide && step == 0) &&
                             entry.select_cache_step_func(step, schedule_.num_steps));
        return result;
    }

    /// The modes in which an entry holds: those decided for while running where it says so, else `mode`.
    std::vector<bool> modes(const Entry& entry, std::optional<int> mode) const {
        if (!mode && !entry.decide) return {};
        std::vector<bool> result(static_cast<std::size_t>(schedule_.num_modes), false);
        result.at(static_cast<std::size_t>(mode.value_or(1))) = true;
        return result;
    }
    static void join(std::vector<bool>& modes, const std::vector<bool>& more) {
        for (std::size_t m = 0; m < modes.size(); ++m) modes[m] = modes[m] || more[m];
    }

    void check_branch_rules() {
        std::erase_if(schedule_.branch_rules, [](const auto& rule) {
            return std::find(rule.reuse.begin(), rule.reuse.end(), true) == rule.reuse.end();
        });
        for (const auto& rule : schedule_.branch_rules)
            if (rule.store.rule != Store::Rule::drop && rule.reuse.front())
                usage_error(
                    "the {} half of guidance is to be reused at step 0 but has not run before; let it run "
                    "there",
                    kBranches[rule.branch]);
        for (const auto& rule : schedule_.branch_rules) check_that_enough_ran(rule);
        for (const auto& rule : schedule_.branch_rules)
            if (rule.store.rule == Store::Rule::delta && !both_run_before(rule))
                usage_error(
                    "the {} half of guidance is to be reused by its difference from the other, but before "
                    "that "
                    "no step runs both; let one do so",
                    kBranches[rule.branch]);
        for (int step = 0; step < schedule_.num_steps; ++step)
            for (int mode = 0; mode < schedule_.num_modes; ++mode)
                if (schedule_.stand_in(0, step, mode) != nullptr &&
                    schedule_.stand_in(1, step, mode) != nullptr)
                    usage_error("both halves of guidance are to be reused at step {}; one of them has to run",
                                step);
    }

    /// Error (usage) where the half may have run at fewer steps than a sum of its predictions has terms.
    void check_that_enough_ran(const Schedule::BranchRule& rule) const {
        if (rule.store.rule == Store::Rule::drop) return;
        int times = 0;
        for (int step = 0; step < schedule_.num_steps; ++step) {
            bool runs = true;
            for (int mode = 0; mode < schedule_.num_modes; ++mode)
                runs = runs && schedule_.stand_in(rule.branch, step, mode) == nullptr;
            const bool reused = rule.reuse[static_cast<std::size_t>(step)];
            if (const int needed = reused ? least_terms_at(rule.store, step) : 0; times < needed)
                usage_error(
                    "the {} half of guidance is to be reused at step {} as a sum of its last {} predictions "
                    "but is certain to have run at only {} step{} before",
                    kBranches[rule.branch], step, needed, times, times == 1 ? "" : "s");
            times += runs ? 1 : 0;
        }
    }

    /// Whether, whatever is decided, a step runs both halves before the rule's first reuse.
    bool both_run_before(const Schedule::BranchRule& rule) const {
        const auto first = std::find(rule.reuse.begin(), rule.reuse.end(), true) - rule.reuse.begin();
        for (int step = 0; step < first; ++step) {
            bool both = true;
            for (int mode = 0; mode < schedule_.num_modes && both; ++mode)
                both = schedule_.stand_in(0, step, mode) == nullptr &&
                       schedule_.stand_in(1, step, mode) == nullptr;
            if (both) return true;
        }
        return false;
    }

    const Graph& graph_;
    Schedule schedule_;
    std::map<ModuleId, const Entry*> chosen_;
    std::map<int, const Entry*> branches_;
};

}  // namespace

const Schedule::BranchRule* Schedule::stand_in(int branch, int step, int mode) const {
    for (const BranchRule& rule : branch_rules)
        if (rule.branch == branch && rule.holds(mode) && rule.reuse.at(static_cast<std::size_t>(step)))
            return &rule;
    return nullptr;
}

int Schedule::variant(ModuleId module, int branch, int step, int mode) const {
    for (const VariantRule& rule : variant_rules)
        if (rule.module == module && rule.holds(mode))
            return rule.variant.at(static_cast<std::size_t>(branch)).at(static_cast<std::size_t>(step));
    return 0;
}

std::vector<int> Schedule::modes_at(int step) const {
    const auto s = static_cast<std::size_t>(step);
    std::vector<int> result = {0};
    for (int mode = 1; mode < num_modes; ++mode) {
        const auto differs = [&](const auto& rule, bool reused) {
            return reused && rule.holds(mode) != rule.holds(0);
        };
        const bool open =
            std::any_of(rules.begin(), rules.end(),
                        [&](const Rule& rule) {
                            return std::any_of(rule.reuse.begin(), rule.reuse.end(),
                                               [&](const auto& steps) { return differs(rule, steps.at(s)); });
                        }) ||
            std::any_of(branch_rules.begin(), branch_rules.end(),
                        [&](const BranchRule& rule) { return differs(rule, rule.reuse.at(s)); }) ||
            std::any_of(variant_rules.begin(), variant_rules.end(), [&](const VariantRule& rule) {
                return std::any_of(rule.variant.begin(), rule.variant.end(),
                                   [&](const auto& steps) { return differs(rule, steps.at(s) != 0); });
            });
        if (open) result.push_back(mode);
    }
    return result;
}

bool is_about(const Entry& entry, ModuleKind kind) {
    return std::find(entry.kinds.begin(), entry.kinds.end(), kind) != entry.kinds.end();
}

bool matches(const Entry& entry, const Module& module) {
    return is_about(entry, module.kind) && is_about_part(entry, module) &&
           entry.wildcard_or_filter_func.matches(module.name_in_part());
}

void check_matches(const Graph& graph, const Config& config) {
    for (const Entry& entry : config) {
        const auto is_in_no_graph = [&](ModuleKind kind) {
            return kind == ModuleKind::guidance || kind == ModuleKind::denoiser || kind == ModuleKind::chain;
        };
        if (std::any_of(entry.kinds.begin(), entry.kinds.end(), is_in_no_graph)) continue;
        bool matched = false;
        for (std::size_t m = 1; m < graph.modules.size(); ++m)
            matched = matched || (!graph.modules[m].outputs.empty() && matches(entry, graph.modules[m]));
        if (!matched) usage_error("its entry {}", no_match(graph, entry));
    }
}

Schedule make_schedule(const Graph& graph, const Config& config, int num_steps, int num_branches,
                       Count count) {
    Scheduler scheduler(graph, num_steps, num_branches, count);
    scheduler.add(config);
    scheduler.commit({});
    return scheduler.take();
}

namespace {

/// Whether something is reused at some step whatever is decided while running.
bool reuses_in_any_case(const Schedule& schedule) {
    const auto holds = [](const auto& rule) { return rule.holds(0); };
    return std::any_of(schedule.rules.begin(), schedule.rules.end(), holds) ||
           std::any_of(schedule.branch_rules.begin(), schedule.branch_rules.end(), holds);
}

/// Whether a decision while running has a step that it could let reuse.
bool may_decide_to_reuse(const Schedule& schedule) {
    if (!schedule.decision) return false;
    const Decision& decision = *schedule.decision;
    const auto has_steps = [](const std::vector<int>& steps) { return !steps.empty(); };
    if (!decision.replay.empty())
        return std::any_of(decision.replay.begin(), decision.replay.end(), has_steps);
    if (decision.threshold == 0) return false;
    for (int step = std::max(1, decision.warm_up); step < schedule.num_steps - decision.cool_down; ++step)
        if (schedule.modes_at(step).size() > 1) return true;
    return false;
}

std::string reuses_nothing(std::string_view why) {
    return fmt::format("the cache configuration reuses nothing, every step runs in full: {}", why);
}

}  // namespace

std::string advice_on(const Config& config, const Schedule& schedule) {
    if (reuses_in_any_case(schedule) || may_decide_to_reuse(schedule)) return "";
    const auto about_guidance = [](const Entry& entry) { return is_about(entry, ModuleKind::guidance); };
    if (config.empty()) return reuses_nothing("it has no entry");
    if (schedule.num_branches == 1 && std::any_of(config.begin(), config.end(), about_guidance))
        return reuses_nothing("it is about halves of guidance, and this run has no guidance");
    if (schedule.decision && schedule.decision->threshold == 0 && schedule.decision->replay.empty())
        return reuses_nothing("its threshold is 0");
    return reuses_nothing(fmt::format("it allows reuse at none of {} steps", schedule.num_steps));
}

std::string advice_after(const Schedule& schedule, const std::vector<std::vector<int>>& decisions) {
    const auto is_empty = [](const std::vector<int>& steps) { return steps.empty(); };
    if (!schedule.decision || reuses_in_any_case(schedule) || !may_decide_to_reuse(schedule) ||
        !std::all_of(decisions.begin(), decisions.end(), is_empty))
        return "";
    return reuses_nothing(fmt::format("no change was small enough for its threshold of {} in this run",
                                      schedule.decision->threshold));
}

Schedule make_schedule_of_modes(const Graph& graph, const std::vector<Config>& modes, int num_steps,
                                int num_branches) {
    Scheduler scheduler(graph, num_steps, num_branches, Count::steps);
    scheduler.set_modes(static_cast<int>(modes.size()));
    for (std::size_t m = 0; m < modes.size(); ++m) {
        scheduler.add(modes[m]);
        scheduler.commit(static_cast<int>(m));
    }
    return scheduler.take();
}

}  // namespace reprise::cachify
