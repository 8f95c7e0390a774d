#include <algorithm>
#include <cmath>
#include <complex>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <string>

#include "cachify/policies.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

/// Every kind that a path through a UNet is made of.
const std::vector<ModuleKind> kPathKinds = {ModuleKind::block, ModuleKind::resnet, ModuleKind::transformer,
                                            ModuleKind::sampler};

/// What the up blocks hand over a skip to, from the outside in: the number of layers of each, or 1 where its
/// layers share one skip (K blocks, which list no resnets).
std::vector<int> layers_from_the_outside(const graph::Graph& graph) {
    std::vector<int> layers;
    for (int k = count_modules(graph, "up_blocks"); k-- > 0;)
        layers.push_back(std::max(1, count_modules(graph, fmt::format("up_blocks.{}.resnets", k))));
    return layers;
}

/// The modules of a UNet that a path of this depth leaves out.
std::vector<std::string> beyond_the_path(const graph::Graph& graph, int branch) {
    const auto layers = layers_from_the_outside(graph);
    const auto ups = static_cast<int>(layers.size());
    int block = 0;
    int layer = branch;  // within the block
    while (layer >= layers[static_cast<std::size_t>(block)])
        layer -= layers[static_cast<std::size_t>(block++)];

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
    add(down + ".downsamplers.0");
    if (count_modules(graph, up + ".resnets") == 0) return names;  // its one skip comes after all layers
    for (const char* part : {"resnets", "attentions"}) {
        for (int j = layer; j < count_modules(graph, fmt::format("{}.{}", down, part)); ++j)
            add(fmt::format("{}.{}.{}", down, part, j));
        for (int j = 0; j < layers[static_cast<std::size_t>(block)] - 1 - layer; ++j)
            add(fmt::format("{}.{}.{}", up, part, j));
    }
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

int count_paths(const graph::Graph& graph) {
    // Without skips a path is some blocks at each end, of which some have to be left between.
    if (const auto blocks = blocks_in_a_row(graph); !blocks.empty())
        return std::max(0, static_cast<int>(blocks.size()) - 1) / 2;
    const auto layers = layers_from_the_outside(graph);
    int paths = std::accumulate(layers.begin(), layers.end(), 0);
    while (paths > 0 && beyond_the_path(graph, paths - 1).empty()) --paths;  // those leave nothing out
    return paths;
}

Config deep_cache(const PolicyContext& context, const DeepCacheOptions& options) {
    const int paths = count_paths(context.graph);
    if (paths == 0)
        usage_error(
            "deepcache: this denoiser has no blocks to leave out: expected up blocks, or three blocks or "
            "more "
            "in a row");
    if (options.branch < 0 || options.branch >= paths)
        usage_error("deepcache: branch is {}; expected 0 to {} on this denoiser", options.branch, paths - 1);
    const StepFunction steps = steps_of(options);
    if (options.interval == 1) return {};
    const auto blocks = blocks_in_a_row(context.graph);
    if (blocks.empty()) return {of_names(beyond_the_path(context.graph, options.branch), steps, kPathKinds)};
    const int outer = options.branch + 1;
    return {of_names({blocks.begin() + outer, blocks.end() - outer}, steps, {ModuleKind::block},
                     {Store::Rule::delta})};
}

}  // namespace reprise::cachify
