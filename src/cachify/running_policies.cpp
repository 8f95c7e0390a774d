// Policies that decide while running.
#include "reprise/running_policies.h"

#include <algorithm>
#include <cmath>

#include "cachify/policies.h"
#include "cachify/schedule.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

StepFunction allowed(const RunningOptions& options) {
    return options.mask.empty() ? StepFunction("step > 0") : StepFunction::mask(options.mask);
}

void check(const char* policy, const RunningOptions& options) {
    if (!(options.threshold >= 0 && std::isfinite(options.threshold)))
        usage_error("{}: threshold is {}; expected a number from 0 on", policy, options.threshold);
    if (options.warm_up < 0 || options.most_in_a_row < 0 || options.most_in_all < 0)
        usage_error("{}: warm_up is {}, most_in_a_row {}, most_in_all {}; expected none below 0", policy,
                    options.warm_up, options.most_in_a_row, options.most_in_all);
}

/// A profile that says of which denoiser it is has to be of this one.
void check_profile(const Profile& profile, const PolicyContext& context) {
    if (!profile.model.class_name.empty()) check_identity(profile.model, context, "the profile");
}

Decision decision_of(Decision::Probe probe, const RunningOptions& options) {
    Decision decision;
    decision.probe = probe;
    decision.threshold = options.threshold;
    decision.warm_up = std::max(1, options.warm_up);
    decision.most_in_a_row = options.most_in_a_row;
    decision.most_in_all = options.most_in_all;
    return decision;
}

Entry whole_denoiser(const RunningOptions& options, Decision decision) {
    return {"denoiser", allowed(options),   {ModuleKind::denoiser}, {Store::Rule::delta},
            false,      std::move(decision)};
}

/// All blocks as one where they follow one another; else the whole denoiser.
Entry all_blocks(const graph::Outline& outline, const RunningOptions& options, Decision decision) {
    if (!outline.in_a_row()) return whole_denoiser(options, std::move(decision));
    Entry entry = of_names(names_of(outline), allowed(options), {ModuleKind::block}, {Store::Rule::delta});
    entry.as_one = true;
    entry.decide = std::move(decision);
    return entry;
}

}  // namespace

Config dual_block_cache(const PolicyContext& context, const DualBlockCacheOptions& options) {
    const char* name = options.first == 1 && options.last == 0 ? "fbcache" : "dbcache";
    check(name, options.running);
    if (options.order < 0 || options.order > 2)
        usage_error("{}: order is {}; expected 0, 1 or 2", name, options.order);
    const graph::Outline outline = outline_of(context);
    const auto blocks = names_of(outline);
    const auto count = static_cast<int>(blocks.size());
    const bool in_a_row = outline.in_a_row();
    // With skips the last block gives the result: without it a reused step would not see its latents.
    const int last = in_a_row ? options.last : std::max(1, options.last);
    if (options.first < 1 || options.last < 0 || last >= count || options.first >= count - last)
        usage_error(
            "{}: first is {} and last {}; this denoiser has {} blocks, expected at least 1 and 0, and one "
            "between",
            name, options.first, last, count);
    Decision decision = decision_of(Decision::Probe::residual, options.running);
    decision.first = blocks.front();
    decision.last = blocks[static_cast<std::size_t>(options.first) - 1];
    const std::vector<std::string> between(blocks.begin() + options.first, blocks.end() - last);
    Store store = {in_a_row ? Store::Rule::delta : Store::Rule::output};
    if (options.order > 0)
        store = {in_a_row ? Store::Rule::delta_forecast : Store::Rule::forecast, options.order};
    Entry entry = of_names(between, allowed(options.running), {ModuleKind::block}, store);
    entry.as_one = in_a_row;
    entry.decide = std::move(decision);
    return {std::move(entry)};
}

Config easy_cache(const EasyCacheOptions& options) {
    check("easycache", options.running);
    Decision decision = decision_of(Decision::Probe::latents, options.running);
    decision.accumulate = true;
    decision.cool_down = 1;  // its last step is never reused
    return {whole_denoiser(options.running, std::move(decision))};
}

Config unet_cache(const UNetCacheOptions& options) {
    check("ucache", options.running);
    Decision decision = decision_of(Decision::Probe::latents_unet, options.running);
    decision.accumulate = true;
    Entry entry = whole_denoiser(options.running, std::move(decision));
    if (options.running.mask.empty())  // its window: 15 to 95 % of the steps
        entry.select_cache_step_func =
            "step > 0 and step >= 15 * num_steps // 100 and step < 95 * num_steps // 100";
    return {std::move(entry)};
}

Config mag_cache(const PolicyContext& context, const Profile& profile, const MagCacheOptions& options) {
    check("magcache", options.running);
    check_profile(profile, context);
    if (!(options.retention >= 0 && options.retention < 1))
        usage_error("magcache: retention is {}; expected a share of the steps below 1", options.retention);
    Decision decision = decision_of(Decision::Probe::table, options.running);
    decision.accumulate = true;
    const graph::Outline outline = outline_of(context);
    decision.table = outline.in_a_row() ? profile.block_ratios : profile.denoiser_ratios;
    if (decision.table.empty()) usage_error("magcache: the profile has no magnitude ratios; calibrate again");
    Entry entry = all_blocks(outline, options.running, std::move(decision));
    if (options.retention > 0 && options.running.mask.empty())
        entry.select_cache_step_func = fmt::format("1000 * step + 500 > {} * num_steps and step > 0",
                                                   std::lround(1000 * options.retention));
    return {std::move(entry)};
}

Config tea_cache(const PolicyContext& context, const Profile& profile, const TeaCacheOptions& options) {
    check("teacache", options.running);
    check_profile(profile, context);
    if (profile.polynomial.empty()) usage_error("teacache: the profile has no polynomial; calibrate again");
    Decision decision = decision_of(Decision::Probe::modulated, options.running);
    decision.accumulate = true;
    decision.polynomial = profile.polynomial;
    decision.cool_down = 1;  // its last step is never reused
    return {all_blocks(outline_of(context), options.running, std::move(decision))};
}

Config replay(Config config, const std::vector<std::vector<int>>& decisions) {
    for (Entry& entry : config)
        if (entry.decide) entry.decide->replay = decisions;
    return config;
}

}  // namespace reprise::cachify
