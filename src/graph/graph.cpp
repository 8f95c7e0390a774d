#include "graph/graph.h"

#include "reprise/error.h"

namespace reprise::graph {

ModuleId Graph::find_module(std::string_view module_name) const {
    for (std::size_t i = 0; i < modules.size(); ++i)
        if (modules[i].name == module_name) return static_cast<ModuleId>(i);
    return -1;
}

bool Graph::is_within(ModuleId inner, ModuleId outer) const {
    while (inner >= 0 && inner != outer) inner = modules[static_cast<std::size_t>(inner)].parent;
    return inner == outer;
}

std::size_t Graph::input_index(std::string_view input_name) const {
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (input(i).name == input_name) return i;
    failure("{} has no input called '{}'", name, input_name);
}

std::size_t Graph::latents_index() const {
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (input(i).latents) return i;
    failure("{} has no input of latents", name);
}

std::vector<std::vector<NodeId>> consumers(const Graph& graph) {
    std::vector<std::vector<NodeId>> result(graph.nodes.size());
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
        for (const NodeId input : graph.nodes[i].inputs)
            result[static_cast<std::size_t>(input)].push_back(static_cast<NodeId>(i));
    return result;
}

std::vector<bool> reachable_backward(const Graph& graph, std::span<const NodeId> roots) {
    std::vector<bool> reached(graph.nodes.size(), false);
    for (const NodeId root : roots) reached[static_cast<std::size_t>(root)] = true;
    for (std::size_t i = graph.nodes.size(); i-- > 0;) {
        if (!reached[i]) continue;
        for (const NodeId input : graph.nodes[i].inputs) reached[static_cast<std::size_t>(input)] = true;
    }
    return reached;
}

Graph pruned(const Graph& graph) {
    std::vector<NodeId> roots = graph.inputs;
    for (const auto& output : graph.outputs) roots.push_back(output.node);
    const auto kept = reachable_backward(graph, roots);

    Graph result;
    result.name = graph.name;
    result.modules = graph.modules;
    std::vector<NodeId> renumbered(graph.nodes.size(), -1);
    const auto renumber = [&](NodeId id) { return renumbered[static_cast<std::size_t>(id)]; };
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        if (!kept[i]) continue;
        renumbered[i] = static_cast<NodeId>(result.nodes.size());
        Node node = graph.nodes[i];
        for (NodeId& input : node.inputs) input = renumber(input);
        result.nodes.push_back(std::move(node));
    }
    for (const NodeId input : graph.inputs) result.inputs.push_back(renumber(input));
    for (const auto& output : graph.outputs) result.outputs.push_back({output.name, renumber(output.node)});
    for (auto& module : result.modules) {
        const auto remap = [&](std::vector<NodeId>& ids) {
            for (NodeId& id : ids) id = renumber(id);  // -1 where the value is not needed any more
        };
        remap(module.inputs);
        remap(module.outputs);
    }
    return result;
}

}  // namespace reprise::graph
