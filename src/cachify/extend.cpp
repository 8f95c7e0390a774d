#include "cachify/extend.h"

#include <algorithm>
#include <map>

#include "cachify/combination.h"
#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::Module;
using graph::ModuleId;
using graph::Node;
using graph::NodeId;
using graph::Op;

namespace {

class Extender {
  public:
    Extender(const Graph& graph, const Schedule& schedule, const std::vector<std::string>& varying)
        : source_(graph), schedule_(schedule), varying_(varying) {}

    Extended run() {
        Graph& graph = result_.graph;
        graph.name = source_.name;
        graph.modules = source_.modules;
        for (Module& module : graph.modules) {
            module.inputs.clear();
            module.outputs.clear();
        }
        result_.rule_of.assign(source_.modules.size(), -1);
        for (std::size_t i = 0; i < schedule_.rules.size(); ++i)
            result_.rule_of[static_cast<std::size_t>(schedule_.rules[i].module)] =
                static_cast<std::int32_t>(i);

        renamed_.resize(source_.nodes.size());
        for (std::size_t i = 0; i < source_.nodes.size(); ++i) renamed_[i] = copy(source_.nodes[i]);
        for (const auto& output : source_.outputs) {
            const NodeId id = renamed(output.node);
            graph.outputs.push_back({output.name, id});
            Role& role = result_.roles[static_cast<std::size_t>(id)];
            if (role == Role::weight)
                role = Role::prologue;  // a constant result has to be put somewhere once
        }
        check_deltas();
        if (schedule_.decision) add_probe(*schedule_.decision);
        return std::move(result_);
    }

  private:
    NodeId renamed(NodeId id) const { return renamed_[static_cast<std::size_t>(id)]; }

    NodeId append(Node node, Role role) {
        result_.graph.nodes.push_back(std::move(node));
        result_.roles.push_back(role);
        result_.choice_of.push_back(-1);
        result_.persistent.push_back(false);
        return static_cast<NodeId>(result_.graph.nodes.size() - 1);
    }

    Role role_of(const Node& node) const {
        if (node.op == Op::constant) return Role::weight;
        if (node.op == Op::input) {
            const auto& name = node.attrs<graph::InputAttrs>().name;
            return std::find(varying_.begin(), varying_.end(), name) != varying_.end() ? Role::varying
                                                                                       : Role::fixed;
        }
        Role role = Role::weight;
        for (const NodeId id : node.inputs) {
            const Role input = result_.role(id);
            if (input == Role::computed || input == Role::varying || input == Role::choice)
                return Role::computed;
            if (input != Role::weight) role = Role::prologue;
        }
        return role;
    }

    NodeId copy(const Node& original) {
        Node node = original;
        for (NodeId& input : node.inputs) input = renamed(input);
        if (node.op != Op::module_output) {
            const Role role = role_of(node);
            const NodeId id = append(std::move(node), role);
            if (original.op == Op::input) result_.graph.inputs.push_back(id);
            return id;
        }

        const ModuleId module = node.module;
        const auto rule_index = result_.rule_of[static_cast<std::size_t>(module)];
        if (rule_index < 0) return node.inputs[0];
        // What never changes is its own last output, so that the plain rule has nothing to do there.
        const auto rule = static_cast<std::size_t>(rule_index);
        const Store store = schedule_.rules[rule].store;
        if (store.rule == Store::Rule::output && !store.kept_in && role_of(node) != Role::computed)
            return node.inputs[0];

        const auto index = static_cast<std::size_t>(node.attrs<graph::ModuleOutputAttrs>().index);
        const NodeId output = node.inputs[0];
        const NodeId fresh = append(std::move(node), Role::computed);
        if (keeps_differences(store)) return delta(module, rule, index, output, fresh);
        result_.graph.modules[static_cast<std::size_t>(module)].outputs.push_back(fresh);
        return kept(rule, fresh, is_combination(store));
    }

    /// What readers of `fresh` see: it, or what was kept of it, combined or as it was.
    NodeId kept(std::size_t rule, NodeId fresh, bool combined) {
        const NodeId recalled = recall(rule, fresh, combined);
        // a plain slot, or a choice of `fresh` itself, stands for both already
        return result_.graph[recalled].op == Op::convert ? choose(rule, fresh, recalled) : recalled;
    }

    /// What reuse has of a value of the module: the one last computed, or several of them combined.
    NodeId recall(std::size_t rule, NodeId value, bool combined) {
        const DType type = result_.graph[value].type;
        const ModuleId module = result_.graph[value].module;
        const auto& kept_in = schedule_.rules[rule].store.kept_in;
        const bool narrower = kept_in && size_of(*kept_in) < size_of(type);
        NodeId stored = narrower ? convert(value, *kept_in, module) : value;
        result_.persistent[static_cast<std::size_t>(stored)] = true;
        if (combined) stored = choose(rule, stored, -1);
        if (!narrower) return stored;
        return convert(stored, type, result_.graph.modules[static_cast<std::size_t>(module)].parent);
    }

    /// Readers of output `index` see it fresh, or the module's input now plus what the module last added.
    NodeId delta(ModuleId module, std::size_t rule, std::size_t index, NodeId output, NodeId fresh) {
        const auto& taken = source_.modules[static_cast<std::size_t>(module)].inputs;
        const Graph& graph = result_.graph;
        if (index >= taken.size() || graph[renamed(taken[index])].shape != graph[output].shape) {
            // an output without a stream of its own, such as a skip, keeps the plain rule
            return kept(rule, fresh, false);
        }
        has_delta_.push_back(rule);
        const NodeId input = renamed(taken[index]);
        const NodeId added = binary(graph::Binary::subtract, output, input, module);
        const ModuleId parent = graph.modules[static_cast<std::size_t>(module)].parent;
        const NodeId last = recall(rule, added, is_combination(schedule_.rules[rule].store));
        return choose(rule, fresh, binary(graph::Binary::add, input, last, parent));
    }

    NodeId convert(NodeId value, DType type, ModuleId module) {
        Node node;
        node.op = Op::convert;
        node.inputs = {value};
        node.attributes = graph::ConvertAttrs{type};
        node.module = module;
        graph::infer(result_.graph, node);
        return append(std::move(node), Role::computed);
    }

    NodeId binary(graph::Binary function, NodeId a, NodeId b, ModuleId module) {
        Node node;
        node.op = Op::binary;
        node.inputs = {a, b};
        node.attributes = graph::BinaryAttrs{function};
        node.module = module;
        graph::infer(result_.graph, node);
        return append(std::move(node), Role::computed);
    }

    NodeId choose(std::size_t rule, NodeId fresh, NodeId loaded) {
        const Node& output = result_.graph[fresh];
        const auto& module = result_.graph.modules[static_cast<std::size_t>(output.module)];
        Node node;
        node.op = Op::input;
        node.module = module.parent;
        node.attributes =
            graph::InputAttrs{fmt::format("{}:{}", module.name, fresh), output.type, output.shape};
        graph::infer(result_.graph, node);
        const NodeId id = append(std::move(node), Role::choice);
        result_.choice_of[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(result_.choices.size());
        result_.choices.push_back({id, fresh, loaded, rule});
        return id;
    }

    ModuleId module_of(const std::string& name) const {
        const ModuleId id =
            name.empty() ? first_inside(source_, 0, {ModuleKind::block}) : source_.find_module(name);
        if (id < 0) usage_error("a decision looks at module '{}', which the {} lacks", name, source_.name);
        return id;
    }

    const Module& with_stream(ModuleId id) const {
        const Module& module = source_.modules[static_cast<std::size_t>(id)];
        if (module.inputs.empty() || module.outputs.size() < module.inputs.size())
            usage_error("a decision looks at the stream of '{}', which has none", module.name);
        return module;
    }
    /// In the copied graph, the stream as a module takes it and as it gives it. Of two the last is the
    /// picture's.
    NodeId taken_by(ModuleId id) const { return renamed(with_stream(id).inputs.back()); }
    NodeId given_by(ModuleId id) const {
        const Module& module = with_stream(id);
        return renamed(module.outputs[module.inputs.size() - 1]);
    }

    /// Whether a decision is about the module or one around it.
    bool is_decided_on(ModuleId module) const {
        for (; module > 0; module = source_.modules[static_cast<std::size_t>(module)].parent) {
            const auto rule = result_.rule_of[static_cast<std::size_t>(module)];
            if (rule >= 0 && !schedule_.rules[static_cast<std::size_t>(rule)].modes.empty()) return true;
        }
        return false;
    }

    /// The same value, computed outside of what a decision is about.
    NodeId beside(NodeId id) {
        Node node = result_.graph[id];
        if (result_.role(id) != Role::computed || !is_decided_on(node.module)) return id;
        const auto known = beside_.find(id);
        if (known != beside_.end()) return known->second;
        for (NodeId& input : node.inputs) input = beside(input);
        node.module = 0;
        const NodeId copy = append(std::move(node), Role::computed);
        beside_[id] = copy;
        return copy;
    }

    /// What the modules from `first` to `last` add to their stream, or what they give where it has another
    /// shape.
    NodeId residual(ModuleId first, ModuleId last) {
        const NodeId in = taken_by(first);
        const NodeId out = given_by(last);
        const Graph& graph = result_.graph;
        return graph[in].shape == graph[out].shape ? binary(graph::Binary::subtract, out, in, 0) : out;
    }

    /// The input of a block as the timestep modulates it. It lies within what may be reused: computed beside
    /// it, which costs a norm or a resnet.
    NodeId modulated(ModuleId block) {
        const NodeId id = modulated_input(source_, block);
        if (id < 0)
            usage_error("a decision looks at '{}', which gives nothing",
                        source_.modules[static_cast<std::size_t>(block)].name);
        return beside(renamed(id));
    }

    void add_probe(const Decision& decision) {
        const bool of_modules = decision.probe == Decision::Probe::residual;
        if (!of_modules && decision.probe != Decision::Probe::modulated) return;
        const ModuleId first = module_of(decision.first);
        const ModuleId last = decision.last.empty() ? first : module_of(decision.last);
        const NodeId value = of_modules ? residual(first, last) : modulated(first);
        if (result_.role(value) != Role::computed)
            usage_error("a decision looks at a value of '{}' that is the same at every step",
                        source_.modules[static_cast<std::size_t>(first)].name);
        result_.graph.outputs.push_back({"probe", value});
        result_.num_probes = 1;
    }

    void check_deltas() const {
        for (std::size_t i = 0; i < schedule_.rules.size(); ++i) {
            if (!keeps_differences(schedule_.rules[i].store)) continue;
            if (std::find(has_delta_.begin(), has_delta_.end(), i) != has_delta_.end()) continue;
            usage_error(
                "module '{}' cannot be stored as a delta: none of its outputs has the shape of its input",
                source_.modules[static_cast<std::size_t>(schedule_.rules[i].module)].name);
        }
    }

    const Graph& source_;
    const Schedule& schedule_;
    const std::vector<std::string>& varying_;
    Extended result_;
    std::vector<NodeId> renamed_;
    std::vector<std::size_t> has_delta_;
    std::map<NodeId, NodeId> beside_;
};

}  // namespace

ModuleId first_inside(const Graph& graph, ModuleId outer, std::initializer_list<ModuleKind> kinds) {
    for (std::size_t m = 0; m < graph.modules.size(); ++m)
        if (graph.is_within(static_cast<ModuleId>(m), outer) &&
            std::find(kinds.begin(), kinds.end(), graph.modules[m].kind) != kinds.end())
            return static_cast<ModuleId>(m);
    return -1;
}

NodeId modulated_input(const Graph& graph, ModuleId block) {
    const auto module = [&](ModuleId id) -> const Module& {
        return graph.modules[static_cast<std::size_t>(id)];
    };
    const ModuleId attention =
        first_inside(graph, block, {ModuleKind::self_attention, ModuleKind::joint_attention});
    if (attention >= 0 && !module(attention).inputs.empty()) return module(attention).inputs.front();
    // Without attention the timestep comes in with the first resnet.
    const auto& outputs = module(std::max(block, first_inside(graph, block, {ModuleKind::resnet}))).outputs;
    return outputs.empty() ? NodeId{-1} : outputs.front();
}

Extended extend(const Graph& graph, const Schedule& schedule,
                const std::vector<std::string>& varying_inputs) {
    return Extender(graph, schedule, varying_inputs).run();
}

}  // namespace reprise::cachify
