#include <algorithm>
#include <cmath>
#include <complex>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "cachify/policies.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

/// Every kind that a path through a UNet is made of.
const std::vector<ModuleKind> kPathKinds = {ModuleKind::block, ModuleKind::resnet, ModuleKind::transformer,
                                            ModuleKind::sampler};

/// What a path leaves out, as one entry.
Entry left_out(const std::vector<graph::Outline::Layer>& layers, const StepFunction& steps) {
    std::vector<std::string> names;
    std::vector<ModuleKind> kinds = kPathKinds;
    for (const auto& [name, kind] : layers) {
        names.push_back(name);
        if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
    }
    return of_names(names, steps, kinds);
}

void check(const DeepCacheOptions& options) {
    constexpr double kMostPower = 10, kMostCenter = 1e6;
    if (options.interval < 1) usage_error("deepcache: interval is {}; expected at least 1", options.interval);
    if (options.uniform) return;
    if (!(options.power > 1 && options.power <= kMostPower))
        usage_error("deepcache: power is {}; expected more than 1, at most {}", options.power, kMostPower);
    if (!(std::abs(options.center) <= kMostCenter))
        usage_error("deepcache: center is {}; expected a step", options.center);
}

StepFunction steps_of(const DeepCacheOptions& options) {
    check(options);
    if (options.uniform) return fmt::format("step % {} != 0", options.interval);
    // A plan asks for each step of one number of steps in turn; the search for them is made once.
    struct Found {
        std::mutex mutex;
        int num_steps = 0;
        std::vector<int> full;
    };
    return [options, found = std::make_shared<Found>()](int step, int num_steps) {
        const std::scoped_lock lock(found->mutex);
        if (found->num_steps != num_steps) {
            found->full = non_uniform_full_steps(num_steps, options);
            found->num_steps = num_steps;
        }
        return !std::binary_search(found->full.begin(), found->full.end(), step);
    };
}

}  // namespace

std::vector<int> non_uniform_full_steps(int num_steps, const DeepCacheOptions& options) {
    check(options);
    if (num_steps < 1) usage_error("deepcache: {} steps; expected at least 1", num_steps);
    const auto wanted = static_cast<std::size_t>((num_steps + options.interval - 1) / options.interval);
    for (double power = options.power; power > 1; power -= 0.02) {
        // The paper's grid begins at the real part of a complex root where the center is after step 0.
        const auto root = [&](double x) { return std::pow(std::complex<double>(x, 0), 1 / power); };
        const auto begin = root(-options.center);
        const auto end = root(num_steps - options.center);
        std::set<int> grid;
        for (std::size_t j = 0; j <= wanted; ++j) {
            const double share = static_cast<double>(j) / static_cast<double>(wanted);
            const auto x = std::pow(begin + (end - begin) * share, power);
            grid.insert(static_cast<int>(x.real()));
        }
        std::vector<int> full = {0};
        if (grid.size() > 2)
            for (auto step = std::next(grid.begin()); step != std::prev(grid.end()); ++step)
                full.push_back(*step + static_cast<int>(options.center));
        if (full.size() == wanted) return full;
    }
    usage_error(
        "deepcache: no {} full steps of {} around step {} with power {}; give a larger power or interval, or "
        "uniform=1",
        wanted, num_steps, options.center, options.power);
}

int count_paths(const graph::Outline& outline) {
    // Without skips a path is some blocks at each end, of which some have to be left between.
    if (outline.in_a_row()) return std::max(0, static_cast<int>(outline.units.size()) - 1) / 2;
    return static_cast<int>(nested_skips(outline).size());
}

Config deep_cache(const PolicyContext& context, const DeepCacheOptions& options) {
    const graph::Outline outline = outline_of(context);
    const int paths = count_paths(outline);
    if (paths == 0)
        usage_error(
            "deepcache: this denoiser has no blocks to leave out: expected blocks joined by skips, or three "
            "blocks or more in a row");
    if (options.branch < 0 || options.branch >= paths)
        usage_error("deepcache: branch is {}; expected 0 to {} on this denoiser", options.branch, paths - 1);
    const StepFunction steps = steps_of(options);
    if (options.interval == 1) return {};
    if (!outline.in_a_row()) {
        const auto skips = nested_skips(outline);
        return {left_out(within_skip(outline, skips[static_cast<std::size_t>(options.branch)]), steps)};
    }
    const auto blocks = names_of(outline);
    const int outer = options.branch + 1;
    return {of_names({blocks.begin() + outer, blocks.end() - outer}, steps, {ModuleKind::block},
                     {Store::Rule::delta})};
}

}  // namespace reprise::cachify
