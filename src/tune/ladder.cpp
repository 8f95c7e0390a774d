#include "tune/ladder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <sstream>

#include "cachify/schedule.h"

namespace reprise::tune {

using cachify::Config;
using cachify::Entry;
using cachify::Store;
using Rule = cachify::Store::Rule;

namespace {

constexpr const char* kAfterTheFirst = "step > 0";

/// Depths of paths, as DeepCache's branches.
std::vector<int> branches(const graph::Outline& outline) {
    std::vector<int> result;
    const auto add = [&](int branch, int end) {
        if (branch >= 0 && branch < end && std::find(result.begin(), result.end(), branch) == result.end())
            result.push_back(branch);
    };
    const int paths = cachify::count_paths(outline);
    if (outline.in_a_row()) {  // so many blocks run at each end
        const auto depth = static_cast<int>(outline.units.size());
        for (const int outer : {1, depth / 8, depth / 4}) add(outer - 1, paths);
        return result;
    }
    // The outermost, the innermost into the block where it ends, and as many further in.
    const auto skips = nested_skips(outline);
    const auto layers = static_cast<int>(std::count_if(
        skips.begin(), skips.end(), [&](const auto& skip) { return skip.to == skips.front().to; }));
    for (const int branch : {0, layers - 1, 2 * layers - 1}) add(branch, paths);
    return result;
}

/// The names of blocks that follow one another; none where skips join them.
std::vector<std::string> row_of(const cachify::PolicyContext& context) {
    const graph::Outline outline = cachify::outline_of(context);
    return outline.in_a_row() ? names_of(outline) : std::vector<std::string>{};
}

Entry whole(const Store& store) {
    return {"denoiser", kAfterTheFirst, {ModuleKind::denoiser}, store};
}

Entry unconditional(const Store& store) {
    return {"unconditional", kAfterTheFirst, {ModuleKind::guidance}, store};
}

/// Those of the blocks in a row that have these places.
Entry blocks(const std::vector<std::string>& row, const std::vector<int>& indices, const Store& store) {
    std::vector<std::string> names;
    for (const int index : indices) names.push_back(row.at(static_cast<std::size_t>(index)));
    return cachify::of_names(names, kAfterTheFirst, {ModuleKind::block}, store);
}

/// Whether an entry is about one thing that is no module of the graph itself.
bool stands_alone(const Entry& entry) {
    return entry.as_one || entry.kinds.front() == ModuleKind::denoiser ||
           entry.kinds.front() == ModuleKind::guidance;
}

}  // namespace

std::vector<Rung> single_blocks(const cachify::PolicyContext& context, const Store& store) {
    std::vector<Rung> rungs;
    const auto row = row_of(context);
    for (int block = 0; block < static_cast<int>(row.size()); ++block)
        rungs.push_back({fmt::format("all but block {}", block), {blocks(row, {block}, store)}, false});
    return rungs;
}

std::vector<Rung> make_ladder(const cachify::PolicyContext& context, const Choices& choices, bool guidance) {
    std::vector<Rung> ladder = {{"full", {}, false}};
    std::vector<Rung> paths;
    const graph::Outline outline = cachify::outline_of(context);
    for (const int branch : branches(outline)) {
        cachify::DeepCacheOptions options;
        options.branch = branch;
        Config config = cachify::deep_cache(context, options);
        for (Entry& entry : config) {
            entry.select_cache_step_func = kAfterTheFirst;
            entry.store = choices.path;
            entry.as_one = outline.in_a_row();
        }
        paths.push_back({fmt::format("path {}", branch), std::move(config), false});
    }
    const auto row = row_of(context);
    const std::size_t depth = choices.order.size();
    for (const std::size_t running : {depth / 8, depth / 4, depth / 2}) {
        if (running == 0) continue;
        const std::vector<int> reused(choices.order.begin(),
                                      choices.order.end() - static_cast<std::ptrdiff_t>(running));
        paths.push_back({fmt::format("sparse {}", running), {blocks(row, reused, choices.path)}, false});
    }
    ladder.push_back({"whole", {whole(choices.whole)}, false});
    for (const Rung& path : paths) {
        ladder.push_back(path);
        if (!guidance) continue;
        ladder.push_back({path.name + ", half", path.config, true});
        ladder.back().config.push_back(unconditional(choices.guidance));
    }
    if (guidance) ladder.push_back({"half", {unconditional(choices.guidance)}, true});
    return ladder;
}

std::vector<Store> path_stores(const cachify::PolicyContext& context) {
    if (cachify::outline_of(context).in_a_row()) return {{Rule::delta}, {Rule::delta_forecast, 1}};
    return {{Rule::output}, {Rule::forecast, 1}};
}

std::vector<Store> whole_stores() {
    return {
        {Rule::output}, {Rule::forecast, 1}, {Rule::forecast, 2}, {Rule::delta}, {Rule::delta_forecast, 1}};
}

std::vector<Store> guidance_stores() {
    return {{Rule::delta}, {Rule::output}, {Rule::forecast, 1}};
}

std::string to_string(const Choices& choices) {
    std::string text = fmt::format("path {}, whole {}, guidance {}", to_string(choices.path),
                                   to_string(choices.whole), to_string(choices.guidance));
    if (!choices.order.empty()) text += fmt::format(", blocks {}", fmt::join(choices.order, " "));
    return text;
}

bool parse_choices(std::string_view text, const cachify::PolicyContext& context, Choices& choices) {
    const auto depth = row_of(context).size();
    std::vector<int> order;
    constexpr std::string_view kBlocks = ", blocks ";
    if (const auto at = text.find(kBlocks); at != std::string_view::npos) {
        std::istringstream list(std::string(text.substr(at + kBlocks.size())));
        for (int block = 0; list >> block;) order.push_back(block);
        std::vector<int> all(depth);
        std::iota(all.begin(), all.end(), 0);
        if (!std::is_permutation(order.begin(), order.end(), all.begin(), all.end())) return false;
    }
    for (const Store& path : path_stores(context))
        for (const Store& of_whole : whole_stores())
            for (const Store& guidance : guidance_stores()) {
                choices = {path, of_whole, guidance, order};
                if (to_string(choices) == text) return true;
            }
    return false;
}

Config config_of(const graph::Graph& graph, const std::vector<Rung>& ladder, const Modes& modes) {
    struct Reused {
        ModuleKind kind;
        Store store;
        std::set<int> steps;
    };
    std::map<std::string, Reused> modules;
    std::vector<std::pair<Entry, std::set<int>>> alone;
    for (std::size_t rung = 0; rung < ladder.size(); ++rung) {
        std::set<int> steps;
        for (std::size_t step = 0; step < modes.size(); ++step)
            if (modes[step] == static_cast<int>(rung)) steps.insert(static_cast<int>(step));
        if (steps.empty()) continue;
        for (const Entry& entry : ladder[rung].config) {
            if (stands_alone(entry)) {
                const auto same = [&](const auto& known) {
                    return known.first.wildcard_or_filter_func.text() ==
                               entry.wildcard_or_filter_func.text() &&
                           known.first.kinds == entry.kinds;
                };
                auto found = std::find_if(alone.begin(), alone.end(), same);
                if (found == alone.end()) found = alone.insert(found, {entry, {}});
                found->second.insert(steps.begin(), steps.end());
                continue;
            }
            for (const auto& module : graph.modules)
                if (cachify::matches(entry, module))
                    modules.try_emplace(module.name, Reused{module.kind, entry.store, {}})
                        .first->second.steps.insert(steps.begin(), steps.end());
        }
    }
    const auto list = [&](const std::set<int>& steps) {
        return cachify::StepFunction(std::vector<int>(steps.begin(), steps.end()),
                                     static_cast<int>(modes.size()));
    };
    Config config;
    while (!modules.empty()) {  // modules that are reused at the same steps share an entry
        const Reused first = modules.begin()->second;
        std::vector<std::string> names;
        std::vector<ModuleKind> kinds;
        for (auto module = modules.begin(); module != modules.end();) {
            const bool joins = module->second.steps == first.steps && module->second.store == first.store;
            if (joins) names.push_back(module->first);
            if (joins && std::find(kinds.begin(), kinds.end(), module->second.kind) == kinds.end())
                kinds.push_back(module->second.kind);
            module = joins ? modules.erase(module) : std::next(module);
        }
        config.push_back(cachify::of_names(names, list(first.steps), kinds, first.store));
    }
    for (auto& [entry, steps] : alone) {
        entry.select_cache_step_func = list(steps);
        config.push_back(entry);
    }
    return config;
}

}  // namespace reprise::tune
