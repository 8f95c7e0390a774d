#include "cachify/units.h"

#include <algorithm>

#include "cachify/schedule.h"
#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::Module;
using graph::ModuleId;
using graph::Node;
using graph::NodeId;
using graph::Op;

namespace {

/// A module to be put around nodes of a graph.
struct Unit {
    std::string name;
    ModuleKind kind = ModuleKind::chain;
    ModuleId parent = 0;
    std::string part = {};        ///< of its members
    std::vector<bool> members;    ///< by node
    std::vector<NodeId> inputs;   ///< the streams that it takes
    std::vector<NodeId> outputs;  ///< members that become its outputs
};

bool has_member(const Graph& graph, const Unit& unit, ModuleId module) {
    for (std::size_t n = 0; n < graph.nodes.size(); ++n)
        if (unit.members[n] && graph.is_within(graph.nodes[n].module, module)) return true;
    return false;
}

/// The graph with the unit as a module between `parent` and the modules that its members are in.
Graph wrapped(const Graph& graph, const Unit& unit) {
    // A parent comes before its children: the new module takes the place of the first that goes inside.
    std::vector<bool> inside(graph.modules.size(), false);
    auto place = static_cast<ModuleId>(graph.modules.size());
    for (std::size_t m = graph.modules.size(); m-- > 1;)
        if (graph.modules[m].parent == unit.parent && has_member(graph, unit, static_cast<ModuleId>(m))) {
            inside[m] = true;
            place = static_cast<ModuleId>(m);
        }
    const auto moved = [&](ModuleId id) { return id < place ? id : id + 1; };

    Graph result;
    result.name = graph.name;
    std::vector<NodeId> within(graph.nodes.size());   // what members read
    std::vector<NodeId> without(graph.nodes.size());  // what others read
    std::vector<NodeId> outputs;
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
        Node node = graph.nodes[n];
        for (NodeId& input : node.inputs)
            input = (unit.members[n] ? within : without)[static_cast<std::size_t>(input)];
        node.module = unit.members[n] && node.module == unit.parent ? place : moved(node.module);
        result.nodes.push_back(std::move(node));
        within[n] = without[n] = static_cast<NodeId>(result.nodes.size() - 1);
        const auto output = std::find(unit.outputs.begin(), unit.outputs.end(), static_cast<NodeId>(n));
        if (output == unit.outputs.end()) continue;
        Node mark;
        mark.op = Op::module_output;
        mark.inputs = {within[n]};
        mark.attributes = graph::ModuleOutputAttrs{output - unit.outputs.begin()};
        mark.module = place;
        mark.shape = graph.nodes[n].shape;
        mark.type = graph.nodes[n].type;
        result.nodes.push_back(std::move(mark));
        without[n] = static_cast<NodeId>(result.nodes.size() - 1);
    }

    const auto renamed = [](std::vector<NodeId> ids, const std::vector<NodeId>& names) {
        for (NodeId& id : ids) id = names[static_cast<std::size_t>(id)];
        return ids;
    };
    std::vector<bool> in_unit = inside;  // at any depth
    for (std::size_t m = 0; m <= graph.modules.size(); ++m) {
        if (static_cast<ModuleId>(m) == place) {
            Module own{unit.name, unit.kind, unit.parent, {}, {}, 1, unit.part};
            own.inputs = renamed(unit.inputs, within);
            for (const NodeId id : unit.outputs) own.outputs.push_back(without[static_cast<std::size_t>(id)]);
            result.modules.push_back(std::move(own));
        }
        if (m == graph.modules.size()) break;
        Module module = graph.modules[m];
        if (module.parent >= 0 && in_unit[static_cast<std::size_t>(module.parent)]) in_unit[m] = true;
        module.inputs = renamed(module.inputs, in_unit[m] ? within : without);
        module.outputs = renamed(module.outputs, in_unit[m] ? within : without);
        if (module.parent >= 0) module.parent = inside[m] ? place : moved(module.parent);
        result.modules.push_back(std::move(module));
    }
    for (const NodeId id : graph.inputs) result.inputs.push_back(within[static_cast<std::size_t>(id)]);
    for (const auto& output : graph.outputs)
        result.outputs.push_back({output.name, without[static_cast<std::size_t>(output.node)]});
    return result;
}

std::ptrdiff_t index_of(const std::vector<NodeId>& nodes, NodeId id) {
    const auto found = std::find(nodes.begin(), nodes.end(), id);
    return found == nodes.end() ? -1 : found - nodes.begin();
}

/// Modules that follow one another along their streams, as one.
Unit chain(const Graph& graph, const std::vector<ModuleId>& modules, std::size_t entry) {
    const auto module = [&](std::size_t i) -> const Module& {
        return graph.modules[static_cast<std::size_t>(modules[i])];
    };
    Unit unit;
    unit.members.assign(graph.nodes.size(), false);
    for (std::size_t i = 0; i < modules.size(); ++i) {
        for (std::size_t n = 0; n < graph.nodes.size(); ++n)
            if (graph.is_within(graph.nodes[n].module, modules[i])) unit.members[n] = true;
        if (i == 0) continue;
        const bool follows = !module(i).inputs.empty() && module(i).parent == module(0).parent &&
                             std::all_of(module(i).inputs.begin(), module(i).inputs.end(),
                                         [&](NodeId id) { return index_of(module(i - 1).outputs, id) >= 0; });
        if (!follows)
            usage_error(
                "cache entry {}: '{}' does not follow '{}' along one stream, so they cannot be reused as one",
                entry, module(i).name, module(i - 1).name);
    }
    unit.parent = module(0).parent;
    unit.part = module(0).part;
    unit.outputs = module(modules.size() - 1).outputs;
    for (std::size_t output = 0; output < unit.outputs.size(); ++output) {
        // back along the stream to where the first module takes it
        auto stream = static_cast<std::ptrdiff_t>(output);
        for (std::size_t i = modules.size(); i-- > 0 && stream >= 0;) {
            const auto& taken = module(i).inputs;
            const NodeId id = static_cast<std::size_t>(stream) < taken.size()
                                  ? taken[static_cast<std::size_t>(stream)]
                                  : NodeId{-1};
            if (i == 0 && id >= 0) unit.inputs.push_back(id);
            stream = i == 0 || id < 0 ? -1 : index_of(module(i - 1).outputs, id);
        }
        if (unit.inputs.size() <= output) break;  // this one has no stream of its own
    }
    const std::string& last = module(modules.size() - 1).name;
    unit.name = fmt::format("{}-{}", module(0).name, last.substr(last.rfind('.') + 1));
    return unit;
}

/// Error (usage) where something outside reads a value inside that is no output.
void check_closed(const Graph& graph, const Unit& unit, std::size_t entry) {
    for (std::size_t n = 0; n < graph.nodes.size(); ++n)
        for (const NodeId input : graph.nodes[n].inputs)
            if (!unit.members[n] && unit.members[static_cast<std::size_t>(input)] &&
                index_of(unit.outputs, input) < 0)
                usage_error("cache entry {}: '{}' cannot be reused as one: a value inside is read elsewhere",
                            entry, unit.name);
}

/// Everything but the inputs.
Unit whole(const Graph& graph) {
    Unit unit;
    unit.name = "denoiser";
    unit.kind = ModuleKind::denoiser;
    for (const Node& node : graph.nodes)
        unit.members.push_back(node.op != Op::input && node.op != Op::constant);
    unit.inputs = {graph.inputs[graph.latents_index()]};
    for (const auto& output : graph.outputs) unit.outputs.push_back(output.node);
    return unit;
}

std::vector<ModuleId> matched(const Graph& graph, const Entry& entry) {
    std::vector<ModuleId> result;
    for (std::size_t m = 1; m < graph.modules.size(); ++m) {
        if (matches(entry, graph.modules[m])) result.push_back(static_cast<ModuleId>(m));
    }
    return result;
}

bool about_denoiser(const Entry& entry) {
    return is_about(entry, ModuleKind::denoiser);
}

}  // namespace

std::optional<WithUnits> with_units(const Graph& graph, const Config& config) {
    const auto asks = [](const Entry& entry) { return entry.as_one || about_denoiser(entry); };
    if (std::none_of(config.begin(), config.end(), asks)) return {};
    WithUnits result{graph, config};
    for (std::size_t i = 0; i < config.size(); ++i) {
        Entry& entry = result.config[i];
        if (!entry.as_one) continue;
        const auto modules = matched(result.graph, entry);
        if (modules.size() < 2) {  // one is as one already; none is refused where entries are matched
            entry.as_one = false;
            continue;
        }
        const Unit unit = chain(result.graph, modules, i);
        check_closed(result.graph, unit, i);
        if (result.graph.find_module(unit.name) < 0) result.graph = wrapped(result.graph, unit);
        const Module& own =
            result.graph.modules[static_cast<std::size_t>(result.graph.find_module(unit.name))];
        entry.wildcard_or_filter_func =
            ModuleFilter([name = std::string(own.name_in_part())](std::string_view n) { return n == name; });
        entry.kinds = {ModuleKind::chain};
        entry.part = own.part;
    }
    if (std::any_of(config.begin(), config.end(), about_denoiser))
        result.graph = wrapped(result.graph, whole(result.graph));
    return result;
}

}  // namespace reprise::cachify
