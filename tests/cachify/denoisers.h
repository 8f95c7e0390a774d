#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "graph/builder.h"
#include "graph/outline.h"
#include "models/denoiser.h"
#include "reprise/module_kind.h"

namespace reprise::cachify::testing {

using ModuleList = std::vector<std::pair<std::string, ModuleKind>>;

/// Modules with these names one after the other, each adding to its input.
inline graph::Graph graph_of(const ModuleList& modules) {
    graph::Builder b("denoiser", DType::f32, nullptr);
    graph::Value x = b.input(models::latents_input({1, 4}));
    for (const auto& [name, kind] : modules) {
        auto scope = b.module(name, kind);
        scope.takes({x});
        x = scope.returns(x * 2.0F);
    }
    b.output("sample", x);
    return b.finish();
}

/// So many blocks that are called "<list>.0", "<list>.1", ...
inline ModuleList stack(const std::string& list, int depth) {
    ModuleList modules;
    for (int i = 0; i < depth; ++i) modules.emplace_back(list + "." + std::to_string(i), ModuleKind::block);
    return modules;
}

inline graph::Graph transformer(int depth) {
    return graph_of(stack("transformer_blocks", depth));
}

/// A UNet of blocks with so many resnets, from the outside in; 0: the block lists none, and its layers share
/// one skip (K blocks). All down blocks but the last end in a sampler, all up blocks but the last as well.
/// `after` are modules one after the other behind it.
inline graph::Graph unet(const std::vector<int>& resnets, bool mid_block = true,
                         const ModuleList& after = {}) {
    graph::Builder b("unet", DType::f32, nullptr);
    const auto run = [&](const std::string& name, ModuleKind kind, graph::Value x) {
        auto scope = b.module(name, kind);
        scope.takes({x});
        return scope.returns(x * 2.0F);
    };
    graph::Value x = b.input(models::latents_input({1, 4})) * 2.0F;
    std::vector<graph::Value> skips = {x};
    const std::size_t depth = resnets.size();
    for (std::size_t k = 0; k < depth; ++k) {
        auto scope = b.module("down_blocks." + std::to_string(k), ModuleKind::block);
        const graph::Value input = x;
        std::vector<graph::Value> states;
        for (int i = 0; i < resnets[k]; ++i)
            states.push_back(x = run("resnets." + std::to_string(i), ModuleKind::resnet, x));
        if (resnets[k] == 0)
            states.push_back(x = x * 2.0F);
        else if (k + 1 < depth)
            states.push_back(x = run("downsamplers.0", ModuleKind::sampler, x));
        scope.takes({input});
        x = scope.returns(x);
        for (const graph::Value state : states) {
            scope.takes({input});
            skips.push_back(scope.returns(state));
        }
    }
    if (mid_block) x = run("mid_block", ModuleKind::block, x);
    const auto take = [&] {
        x = x + skips.back();
        skips.pop_back();
    };
    for (std::size_t k = 0; k < depth; ++k) {
        auto scope = b.module("up_blocks." + std::to_string(k), ModuleKind::block);
        scope.takes({x});
        const int layers = resnets[depth - 1 - k];
        if (layers == 0) take();
        for (int i = 0; layers > 0 && i <= layers; ++i) {
            take();
            x = run("resnets." + std::to_string(i), ModuleKind::resnet, x);
        }
        if (layers > 0 && k + 1 < depth) x = run("upsamplers.0", ModuleKind::sampler, x);
        x = scope.returns(x * 2.0F);
    }
    for (const auto& [name, kind] : after) x = run(name, kind, x);
    b.output("sample", x);
    return b.finish();
}

/// The same modules without what passes between them, as a denoiser of diffusers is known: lists of a block's
/// modules one after the other, the middle last.
inline graph::Graph listing(const graph::Graph& whole) {
    graph::Graph result;
    result.name = whole.name;
    result.modules = {whole.modules.front()};
    const auto copy = [&](const graph::Module& module, graph::ModuleId parent) {
        graph::Module own{module.name, module.kind, parent, {}, {0}, 1};
        result.modules.push_back(own);
        return static_cast<graph::ModuleId>(result.modules.size() - 1);
    };
    std::vector<std::size_t> outer;
    for (std::size_t m = 1; m < whole.modules.size(); ++m)
        if (whole.modules[m].parent == 0 && !whole.modules[m].outputs.empty()) outer.push_back(m);
    std::stable_partition(outer.begin(), outer.end(), [&](std::size_t m) {
        return graph::stack_of(whole.modules[m].name) != whole.modules[m].name;
    });
    for (const std::size_t m : outer) {
        const auto place = copy(whole.modules[m], 0);
        std::vector<std::size_t> inner;
        for (std::size_t i = 1; i < whole.modules.size(); ++i)
            if (whole.modules[i].parent == static_cast<graph::ModuleId>(m) &&
                !whole.modules[i].outputs.empty())
                inner.push_back(i);
        std::stable_sort(inner.begin(), inner.end(), [&](std::size_t a, std::size_t c) {
            return graph::stack_of(whole.modules[a].name) < graph::stack_of(whole.modules[c].name);
        });
        for (const std::size_t i : inner) copy(whole.modules[i], place);
    }
    return result;
}

}  // namespace reprise::cachify::testing
