#include <algorithm>
#include <cmath>
#include <complex>
#include <set>
#include <string>

#include "cachify/policies.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

/// Every kind that a path through a UNet is made of.
const std::vector<ModuleKind> kPathKinds = {ModuleKind::block, ModuleKind::resnet, ModuleKind::transformer,
                                            ModuleKind::sampler};

/// The modules that a path of this depth leaves out.
std::vector<std::string> beyond_the_path(const graph::Graph& graph, int branch) {
    const int ups = count_modules(graph, "up_blocks");
    const int layers = count_modules(graph, fmt::format("up_blocks.{}.resnets", ups - 1));
    const int block = branch / layers;
    const int layer = branch % layers;
    if (block >= ups)
        usage_error("deepcache: branch is {}; this denoiser has {} up blocks of {} layers, expected 0 to {}",
                    branch, ups, layers, ups * layers - 1);
    std::vector<std::string> names;
    const auto add = [&](const std::string& name) {
        if (graph.find_module(name) >= 0) names.push_back(name);
    };
    add("mid_block");
    for (int k = block + 1; k < std::max(ups, count_modules(graph, "down_blocks")); ++k) {
        add(fmt::format("down_blocks.{}", k));
        if (k < ups) add(fmt::format("up_blocks.{}", ups - 1 - k));
    }
    const std::string down = fmt::format("down_blocks.{}", block);
    const std::string up = fmt::format("up_blocks.{}", ups - 1 - block);
    for (const char* part : {"resnets", "attentions"}) {
        for (int j = layer; j < count_modules(graph, fmt::format("{}.{}", down, part)); ++j)
            add(fmt::format("{}.{}.{}", down, part, j));
        for (int j = 0; j < layers - 1 - layer; ++j) add(fmt::format("{}.{}.{}", up, part, j));
    }
    add(down + ".downsamplers.0");
    return names;
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
    return [options](int step, int num_steps) {
        const auto full = non_uniform_full_steps(num_steps, options);
        return !std::binary_search(full.begin(), full.end(), step);
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

Config deep_cache(const PolicyContext& context, const DeepCacheOptions& options) {
    if (options.branch < 0) usage_error("deepcache: branch is {}; expected at least 0", options.branch);
    if (options.interval == 1) return {};
    const StepFunction steps = steps_of(options);
    const int depth = count_modules(context.graph, "transformer_blocks");
    if (depth == 0) return {of_names(beyond_the_path(context.graph, options.branch), steps, kPathKinds)};
    const int outer = options.branch + 1;
    if (2 * outer >= depth)
        usage_error("deepcache: branch is {}; this denoiser has {} blocks, expected 0 to {}", options.branch,
                    depth, (depth - 1) / 2 - 1);
    std::vector<std::string> inner;
    for (int k = outer; k < depth - outer; ++k) inner.push_back(fmt::format("transformer_blocks.{}", k));
    return {of_names(inner, steps, {ModuleKind::block}, {Store::Rule::delta})};
}

}  // namespace reprise::cachify
