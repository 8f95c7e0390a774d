#pragma once

#include <string>
#include <utility>
#include <vector>

#include "graph/builder.h"
#include "reprise/module_kind.h"

namespace reprise::cachify::testing {

using ModuleList = std::vector<std::pair<std::string, ModuleKind>>;

/// Modules with these names one after the other, each adding to its input.
inline graph::Graph graph_of(const ModuleList& modules) {
    graph::Builder b("denoiser", DType::f32, nullptr);
    graph::Value x = b.input("sample", {1, 4});
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

/// A UNet of blocks with so many resnets, from the outside in; 0: the block lists none (K blocks).
inline ModuleList unet(const std::vector<int>& resnets, bool mid_block = true) {
    ModuleList modules;
    const auto add = [&](const std::string& block, int layers, const char* sampler) {
        modules.emplace_back(block, ModuleKind::block);
        for (int i = 0; i < layers; ++i)
            modules.emplace_back(block + ".resnets." + std::to_string(i), ModuleKind::resnet);
        if (layers > 0) modules.emplace_back(block + "." + sampler + ".0", ModuleKind::sampler);
    };
    const std::size_t depth = resnets.size();
    for (std::size_t k = 0; k < depth; ++k)
        add("down_blocks." + std::to_string(k), resnets[k], "downsamplers");
    if (mid_block) modules.emplace_back("mid_block", ModuleKind::block);
    for (std::size_t k = 0; k < depth; ++k) {
        const int layers = resnets[depth - 1 - k];
        add("up_blocks." + std::to_string(k), layers > 0 ? layers + 1 : 0, "upsamplers");
    }
    return modules;
}

}  // namespace reprise::cachify::testing
