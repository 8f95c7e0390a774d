#include "pipelines/watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "cachify/extend.h"

namespace reprise::pipelines {

using graph::Graph;
using graph::ModuleId;
using graph::ModuleKind;
using graph::NodeId;

WatchPoints::WatchPoints(const Graph& graph, const Watch& watch)
    : see_(watch.see), first_(graph.outputs.size()) {
    for (std::size_t m = 1; m < graph.modules.size(); ++m) {
        const graph::Module& module = graph.modules[m];
        if (module.outputs.empty() || module.invocations > 1 || !watch.wanted(module)) continue;
        Module& own = modules_.emplace_back(Module{module.name, module.kind, {}, {}, -1, -1});
        for (std::size_t i = 0; i < module.outputs.size(); ++i) {
            own.outputs.push_back(place(module.outputs[i]));
            const bool has_stream =
                i < module.inputs.size() && graph[module.inputs[i]].shape == graph[module.outputs[i]].shape;
            own.streams.push_back(has_stream ? static_cast<std::ptrdiff_t>(place(module.inputs[i])) : -1);
        }
        if (module.inputs.empty() || module.outputs.size() < module.inputs.size()) continue;
        // Of a transformer's two streams the last is the picture's; a down block's hidden state is its first.
        const bool joint = module.inputs.front() != module.inputs.back();
        own.input = static_cast<std::ptrdiff_t>(place(module.inputs.back()));
        own.output = static_cast<std::ptrdiff_t>(
            place(joint ? module.outputs[module.inputs.size() - 1] : module.outputs.front()));
    }
    const ModuleId block = cachify::first_inside(graph, 0, {ModuleKind::block});
    const NodeId modulated = block < 0 ? NodeId{-1} : cachify::modulated_input(graph, block);
    if (modulated >= 0) modulated_ = static_cast<std::ptrdiff_t>(place(modulated));
}

std::size_t WatchPoints::place(NodeId id) {
    const auto known = std::find(nodes_.begin(), nodes_.end(), id);
    if (known != nodes_.end()) return first_ + static_cast<std::size_t>(known - nodes_.begin());
    nodes_.push_back(id);
    return first_ + nodes_.size() - 1;
}

Graph WatchPoints::exposed(Graph graph) const {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        graph.outputs.push_back({fmt::format("watched.{}", i), nodes_[i]});
    return graph;
}

void WatchPoints::show(Sight sight, const std::vector<Tensor>& outputs) const {
    const auto at = [&](std::ptrdiff_t index) {
        return index < 0 ? Tensor() : outputs.at(static_cast<std::size_t>(index));
    };
    std::vector<Sight::Module> modules;
    for (const Module& module : modules_) {
        Sight::Module& shown = modules.emplace_back(
            Sight::Module{module.name, module.kind, {}, {}, at(module.input), at(module.output)});
        for (std::size_t i = 0; i < module.outputs.size(); ++i) {
            shown.outputs.push_back(outputs.at(module.outputs[i]));
            shown.streams.push_back(at(module.streams[i]));
        }
    }
    sight.modules = modules;
    sight.modulated = at(modulated_);
    see_(sight);
}

}  // namespace reprise::pipelines
