// Policies that say when, and of which kinds, whatever the denoiser's blocks are called.
#include <cmath>
#include <cstdint>

#include "cachify/policies.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

void check_at_least(const char* policy, const char* name, int value, int least) {
    if (value < least) usage_error("{}: {} is {}; expected at least {}", policy, name, value, least);
}

bool has_kind(const graph::Graph& graph, ModuleKind kind) {
    for (const auto& module : graph.modules)
        if (module.kind == kind) return true;
    return false;
}

}  // namespace

Config t_gate(const TGateOptions& options) {
    check_at_least("tgate", "gate", options.gate, 1);
    check_at_least("tgate", "warm_up", options.warm_up, 0);
    check_at_least("tgate", "interval", options.interval, 1);
    check_at_least("tgate", "interval_after_gate", options.interval_after_gate, 1);
    const std::string from_gate = fmt::format("step >= {}", options.gate);
    Config config = {
        {"*",
         from_gate,
         {ModuleKind::cross_attention, ModuleKind::temporal_cross_attention},
         {Store::Rule::mean}},
        {options.conditional ? "unconditional" : "conditional",
         from_gate,
         {ModuleKind::guidance},
         {Store::Rule::drop}},
    };
    if (options.interval > 1 || options.interval_after_gate > 1)
        config.push_back(
            {"*",
             fmt::format("step > {} and step < {} and step % {} != 0 or step >= {} and step % {} != 0",
                         options.warm_up, options.gate - 1, options.interval, options.gate,
                         options.interval_after_gate),
             {ModuleKind::self_attention, ModuleKind::temporal_self_attention}});
    return config;
}

Config attention_broadcast(const PolicyContext& context, const AttentionBroadcastOptions& options) {
    if (!(options.from >= 0 && options.from <= options.to && options.to <= 1))
        usage_error("pab: the window is {} to {}; expected shares of the steps, 0 <= from <= to <= 1",
                    options.from, options.to);
    Config config;
    const auto add = [&](ModuleKind kind, const char* name, int interval) {
        check_at_least("pab", name, interval, 0);
        if (interval < 2 || !has_kind(context.graph, kind)) return;
        config.push_back(
            {"*",
             fmt::format("step > 0 and 1000 * step > {} * num_steps and 1000 * step < {} * num_steps "
                         "and step % {} != 0",
                         std::lround(1000 * options.from), std::lround(1000 * options.to), interval),
             {kind}});
    };
    add(ModuleKind::self_attention, "self", options.self_attention);
    add(ModuleKind::cross_attention, "cross", options.cross_attention);
    add(ModuleKind::joint_attention, "joint", options.joint_attention);
    add(ModuleKind::temporal_self_attention, "temporal", options.temporal_attention);
    add(ModuleKind::temporal_cross_attention, "temporal", options.temporal_attention);
    if (config.empty())
        usage_error(
            "pab: nothing to reuse: this denoiser has no attention of the kinds whose interval is above 1");
    return config;
}

Config taylor_seer(const TaylorSeerOptions& options) {
    check_at_least("taylorseer", "interval", options.interval, 1);
    check_at_least("taylorseer", "before", options.before, 1);
    if (options.order != 1 && options.order != 2)
        usage_error("taylorseer: order is {}; expected 1 or 2", options.order);
    if (options.interval == 1) return {};
    std::string steps = fmt::format("step >= {} and (step - {}) % {} != 0", options.before,
                                    std::int64_t{options.before} + 1, options.interval);
    if (options.after >= 0) steps += fmt::format(" and step < {}", options.after);
    return {{"*", steps, options.kinds, {Store::Rule::forecast, options.order}}};
}

Config guidance_reuse(const GuidanceReuseOptions& options) {
    check_at_least("guidance", "interval", options.interval, 1);
    check_at_least("guidance", "before", options.before, 1);
    if (options.interval == 1) return {};
    return {{"unconditional",
             fmt::format("step >= {} and (step - {}) % {} != 0", options.before, options.before,
                         options.interval),
             {ModuleKind::guidance},
             {Store::Rule::delta}}};
}

Config operator+(Config a, const Config& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

}  // namespace reprise::cachify
