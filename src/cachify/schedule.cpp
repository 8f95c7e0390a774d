#include "cachify/schedule.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "cachify/policies.h"
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

/// The names of the modules that an entry is shown, shortened, for the message that nothing matched.
std::string candidates(const Graph& graph, const Entry& entry) {
    constexpr std::size_t kShown = 6;
    std::vector<std::string> names;
    for (const Module& module : graph.modules)
        if (std::find(entry.kinds.begin(), entry.kinds.end(), module.kind) != entry.kinds.end())
            names.push_back(module.name);
    if (names.empty()) return "there is none";
    const bool more = names.size() > kShown;
    if (more) names.resize(kShown);
    return fmt::format("there are {}{}", fmt::join(names, ", "), more ? ", ..." : "");
}

constexpr std::string_view kBranches[] = {"unconditional", "conditional"};

bool about_guidance(const Entry& entry) {
    return std::find(entry.kinds.begin(), entry.kinds.end(), ModuleKind::guidance) != entry.kinds.end();
}

/// Adds what an entry says of the halves of guidance to the schedule; whether it matched one.
bool add_branch_rules(Schedule& schedule, const Entry& entry, std::size_t number) {
    if (schedule.num_branches != 2)
        usage_error("cache entry {} reuses a half of guidance, which needs guidance as two passes (split)",
                    number);
    if (entry.store.rule == Store::Rule::mean)
        usage_error(
            "cache entry {}: a half of guidance has no mean; its store is output, delta, forecast or drop",
            number);
    bool matched = false;
    for (int branch = 0; branch < 2; ++branch) {
        if (!entry.wildcard_or_filter_func.matches(kBranches[branch])) continue;
        matched = true;
        std::erase_if(schedule.branch_rules, [&](const auto& rule) { return rule.branch == branch; });
        schedule.branch_rules.push_back({branch, entry.store, {}});
        for (int step = 0; step < schedule.num_steps; ++step)
            schedule.branch_rules.back().reuse.push_back(
                entry.select_cache_step_func(step, schedule.num_steps));
    }
    return matched;
}

void check_branch_rules(Schedule& schedule) {
    std::erase_if(schedule.branch_rules, [](const auto& rule) {
        return std::find(rule.reuse.begin(), rule.reuse.end(), true) == rule.reuse.end();
    });
    for (const auto& rule : schedule.branch_rules)
        if (rule.store.rule != Store::Rule::drop && rule.reuse.front())
            usage_error(
                "the {} half of guidance is to be reused at step 0 but has not run before; let it run there",
                kBranches[rule.branch]);
    for (int step = 0; step < schedule.num_steps; ++step)
        if (schedule.stand_in(0, step) != nullptr && schedule.stand_in(1, step) != nullptr)
            usage_error("both halves of guidance are to be reused at step {}; one of them has to run", step);
}

}  // namespace

const Schedule::BranchRule* Schedule::stand_in(int branch, int step) const {
    for (const BranchRule& rule : branch_rules)
        if (rule.branch == branch && rule.reuse.at(static_cast<std::size_t>(step))) return &rule;
    return nullptr;
}

Schedule make_schedule(const Graph& graph, const Config& config, int num_steps, int num_branches,
                       Count count) {
    Schedule schedule{num_steps, num_branches, count, {}, {}};
    std::map<ModuleId, const Entry*> chosen;
    for (std::size_t i = 0; i < config.size(); ++i) {
        const Entry& entry = config[i];
        bool matched = about_guidance(entry) && add_branch_rules(schedule, entry, i);
        for (std::size_t m = 1; m < graph.modules.size(); ++m) {
            const Module& module = graph.modules[m];
            if (std::find(entry.kinds.begin(), entry.kinds.end(), module.kind) == entry.kinds.end()) continue;
            if (!entry.wildcard_or_filter_func.matches(module.name)) continue;
            if (module.outputs.empty()) continue;
            matched = true;
            if (entry.store.rule == Store::Rule::drop)
                usage_error("cache entry {}: only a half of guidance can be dropped, not '{}'", i,
                            module.name);
            chosen[static_cast<ModuleId>(m)] = &entry;
        }
        if (!matched)
            usage_error("cache entry {} ({}) matches no module of kind {} in the {}; {}", i,
                        entry.wildcard_or_filter_func.text(), kinds_text(entry.kinds), graph.name,
                        candidates(graph, entry));
    }

    check_branch_rules(schedule);
    bool any = !schedule.branch_rules.empty();
    for (const auto& [id, entry] : chosen) {
        const Module& module = graph.modules[static_cast<std::size_t>(id)];
        std::vector<bool> steps;
        for (int step = 0; step < num_steps; ++step)
            steps.push_back(entry->select_cache_step_func(step, num_steps));
        if (std::find(steps.begin(), steps.end(), true) == steps.end()) continue;
        if (module.invocations > 1)
            usage_error("module '{}' runs {} times in one pass of the {} and cannot be reused", module.name,
                        module.invocations, graph.name);
        any = true;
        schedule.rules.push_back(
            {id, entry->store,
             std::vector<std::vector<bool>>(static_cast<std::size_t>(num_branches), steps)});
    }
    if (!config.empty() && !any)
        spdlog::warn("the cache configuration reuses nothing in {} steps: every step runs in full",
                     num_steps);
    return schedule;
}

int count_modules(const Graph& graph, std::string_view prefix) {
    int count = 0;
    while (graph.find_module(fmt::format("{}.{}", prefix, count)) >= 0) ++count;
    return count;
}

namespace {

Config unet_default(const Graph& graph, const Config& published, int published_up_blocks) {
    const int up_blocks = count_modules(graph, "up_blocks");
    if (up_blocks == published_up_blocks || up_blocks == 0) return published;
    return {{ModuleFilter::negation(fmt::format("*up_blocks.{}*", up_blocks - 1)), "step % 2 != 0"}};
}

Config transformer_default(const Graph& graph, const Config& published, int published_depth, double kept,
                           const char* steps) {
    const int depth = count_modules(graph, "transformer_blocks");
    if (depth == published_depth || depth == 0) return published;
    const int last_reused = std::max(1, depth - std::max(1, static_cast<int>(std::lround(depth * kept))));
    std::vector<int> reused(static_cast<std::size_t>(last_reused));
    std::iota(reused.begin(), reused.end(), 0);
    return {
        {ModuleFilter::regex(fmt::format(R"(^transformer_blocks\.({})$)", fmt::join(reused, "|"))), steps}};
}

}  // namespace

Config default_config(std::string_view denoiser_class, const Graph& graph) {
    if (denoiser_class == "UNet2DConditionModel") return unet_default(graph, SDXL_DEFAULT_CONFIG, 3);
    if (denoiser_class == "UNetSpatioTemporalConditionModel")
        return unet_default(graph, SVD_DEFAULT_CONFIG, 4);
    if (denoiser_class == "PixArtTransformer2DModel")
        return transformer_default(graph, PIXART_DEFAULT_CONFIG, 28, 1.0 / 4, "step % 3 != 0");
    if (denoiser_class == "SD3Transformer2DModel")
        return transformer_default(graph, SD3_DEFAULT_CONFIG, 24, 1.0 / 3, "step % 2 != 0");
    usage_error("there is no default cache configuration for a {}; give one", denoiser_class);
}

}  // namespace reprise::cachify
