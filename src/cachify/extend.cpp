#include "cachify/extend.h"

#include <algorithm>
#include <map>

#include "cachify/combination.h"
#include "cachify/probe.h"
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
    Extender(const Graph& graph, const Schedule& schedule, std::span<const Variant> variants)
        : source_(graph), schedule_(schedule), variants_(variants) {}

    Extended run() {
        Graph& graph = result_.graph;
        graph.name = source_.name;
        graph.modules = source_.modules;
        for (Module& module : graph.modules) {
            module.inputs.clear();
            module.outputs.clear();
        }
        check_variants(source_, schedule_, variants_);
        add_bodies();
        result_.rule_of.assign(graph.modules.size(), -1);
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
        add_probe(result_, source_, schedule_, renamed_);
        return std::move(result_);
    }

  private:
    NodeId renamed(NodeId id) const { return renamed_[static_cast<std::size_t>(id)]; }

    NodeId append(Node node, Role role) { return result_.append(std::move(node), role); }

    Role role_of(const Node& node) const {
        if (node.op == Op::constant) return Role::weight;
        if (node.op == Op::input)
            return node.attrs<graph::InputAttrs>().when == graph::When::step ? Role::varying : Role::fixed;
        Role role = Role::weight;
        for (const NodeId id : node.inputs) {
            const Role input = result_.role(id);
            if (input == Role::computed || input == Role::varying || input == Role::choice ||
                input == Role::made)
                return Role::computed;
            if (input != Role::weight) role = Role::prologue;
        }
        return role;
    }

    NodeId copy(const Node& original) {
        Node node = original;
        for (NodeId& input : node.inputs) input = renamed(input);
        const ModuleId module = node.module;
        const bool varies = body_of(module) >= 0;
        if (varies) node.module = body_of(module);
        if (node.op != Op::module_output) {
            const Role role = role_of(node);
            const NodeId id = append(std::move(node), role);
            if (original.op == Op::input) result_.graph.inputs.push_back(id);
            return id;
        }

        const auto rule_index = result_.rule_of[static_cast<std::size_t>(module)];
        const auto index = static_cast<std::size_t>(node.attrs<graph::ModuleOutputAttrs>().index);
        const std::vector<NodeId> outputs = outputs_of_variants(module, index, node.inputs[0]);
        if (rule_index < 0) return varies ? any_of(module, fresh(node, outputs)) : node.inputs[0];
        // What never changes is its own last output, so that the plain rule has nothing to do there.
        const auto rule = static_cast<std::size_t>(rule_index);
        const Store store = schedule_.rules[rule].store;
        if (!varies && store.rule == Store::Rule::output && !store.kept_in && role_of(node) != Role::computed)
            return node.inputs[0];

        const std::vector<NodeId> made = fresh(node, outputs);
        if (keeps_differences(store)) return delta(module, rule, index, outputs, made);
        auto& marks = result_.graph.modules[static_cast<std::size_t>(module)].outputs;
        marks.insert(marks.end(), made.begin(), made.end());
        return kept(rule, made, is_combination(store));
    }

    // ---- variants ----

    ModuleId body_of(ModuleId module) const { return result_.body_of[static_cast<std::size_t>(module)]; }

    /// Puts a module for each variant into those that have some; what was inside belongs to variant 0.
    void add_bodies() {
        auto& modules = result_.graph.modules;
        result_.body_of.assign(modules.size(), -1);
        result_.variant_of.assign(modules.size(), -1);
        const auto add = [&](ModuleId parent, int variant) {
            modules.push_back(
                {fmt::format("{} (variant {})", modules[static_cast<std::size_t>(parent)].name, variant),
                 ModuleKind::other,
                 parent,
                 {},
                 {},
                 1,
                 modules[static_cast<std::size_t>(parent)].part});
            result_.body_of.push_back(-1);
            result_.variant_of.push_back(variant);
            return static_cast<ModuleId>(modules.size() - 1);
        };
        for (std::size_t m = 1; m < source_.modules.size(); ++m) {
            const auto module = static_cast<ModuleId>(m);
            int variant = 0;
            for (const Variant& own : variants_) {
                if (own.module != module) continue;
                if (variant == 0) result_.body_of[m] = add(module, variant);
                add(module, ++variant);
            }
            if (variant == 0) continue;
            for (std::size_t inner = m + 1; inner < source_.modules.size(); ++inner)
                if (source_.modules[inner].parent == module) result_.variant_of[inner] = 0;
        }
    }

    /// Output `index` of the module in each of its variants; `own` is the graph's.
    std::vector<NodeId> outputs_of_variants(ModuleId module, std::size_t index, NodeId own) {
        std::vector<NodeId> result = {own};
        if (body_of(module) < 0) return result;
        auto& known = variant_outputs_[module];
        if (known.empty()) {
            ModuleId body = body_of(module);
            for (const Variant& variant : variants_)
                if (variant.module == module) known.push_back(copy_body(variant, ++body));
        }
        for (const auto& outputs : known) result.push_back(outputs[index]);
        return result;
    }

    /// Copies a variant's nodes into the module `body`; its outputs. Modules inside it are not units of
    /// reuse.
    std::vector<NodeId> copy_body(const Variant& variant, ModuleId body) {
        std::vector<NodeId> copies;
        for (std::size_t n = 0; n < variant.body.nodes.size(); ++n) {
            Node node = variant.body.nodes[n];
            const auto& inputs = variant.body.inputs;
            const auto input = std::find(inputs.begin(), inputs.end(), static_cast<NodeId>(n));
            if (input != inputs.end()) {
                copies.push_back(renamed(variant.reads[static_cast<std::size_t>(input - inputs.begin())]));
                continue;
            }
            for (NodeId& id : node.inputs) id = copies[static_cast<std::size_t>(id)];
            node.module = body;
            const Role role = role_of(node);
            copies.push_back(node.op == Op::module_output ? node.inputs[0] : append(std::move(node), role));
        }
        std::vector<NodeId> outputs;
        for (const auto& output : variant.body.outputs)
            outputs.push_back(copies[static_cast<std::size_t>(output.node)]);
        return outputs;
    }

    /// The module's output of each variant as it gives it.
    std::vector<NodeId> fresh(const Node& own, const std::vector<NodeId>& outputs) {
        std::vector<NodeId> result;
        for (const NodeId output : outputs) {
            Node node = own;
            node.module += static_cast<ModuleId>(result.size());
            node.inputs = {output};
            result.push_back(append(std::move(node), Role::computed));
        }
        return result;
    }

    /// What stands for a value that each of the module's variants makes; the value where there is one.
    NodeId any_of(ModuleId module, const std::vector<NodeId>& values) {
        if (values.size() == 1) return values.front();
        const Node& value = result_.graph[values.front()];
        Node node;
        node.op = Op::input;
        node.module = module;
        node.attributes = graph::InputAttrs{fmt::format("{}:{}", module_name(module), values.front()),
                                            value.type, value.shape};
        graph::infer(result_.graph, node);
        const NodeId id = append(std::move(node), Role::made);
        result_.makers_of[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(result_.makers.size());
        for (const NodeId maker : values) result_.value_of[static_cast<std::size_t>(maker)] = id;
        result_.makers.push_back({id, module, values});
        return id;
    }

    const std::string& module_name(ModuleId module) const {
        return result_.graph.modules[static_cast<std::size_t>(module)].name;
    }
    ModuleId module_of_rule(std::size_t rule) const { return schedule_.rules[rule].module; }
    ModuleId around(std::size_t rule) const {
        return result_.graph.modules[static_cast<std::size_t>(module_of_rule(rule))].parent;
    }

    // ---- store rules; values by variant ----

    /// What readers of `made` see: it, or what was kept of it, combined or as it was.
    NodeId kept(std::size_t rule, const std::vector<NodeId>& made, bool combined) {
        const NodeId recalled = recall(rule, made, combined);
        // a plain slot, or a choice of `made` itself, stands for both already
        return result_.graph[recalled].op == Op::convert
                   ? choose(rule, any_of(module_of_rule(rule), made), recalled)
                   : recalled;
    }

    /// What reuse has of a value of the module: the one last computed, or several of them combined.
    NodeId recall(std::size_t rule, std::vector<NodeId> values, bool combined) {
        const DType type = result_.graph[values.front()].type;
        const auto& kept_in = schedule_.rules[rule].store.kept_in;
        const bool narrower = kept_in && size_of(*kept_in) < size_of(type);
        if (narrower)
            for (NodeId& value : values) value = convert(value, *kept_in, result_.graph[value].module);
        NodeId stored = any_of(module_of_rule(rule), values);
        result_.persistent[static_cast<std::size_t>(stored)] = true;
        if (combined) stored = choose(rule, stored, -1);
        if (!narrower) return stored;
        return convert(stored, type, around(rule));
    }

    /// Readers of output `index` see it fresh, or the module's input now plus what the module last added.
    NodeId delta(ModuleId module, std::size_t rule, std::size_t index, const std::vector<NodeId>& outputs,
                 const std::vector<NodeId>& made) {
        const auto& taken = source_.modules[static_cast<std::size_t>(module)].inputs;
        const Graph& graph = result_.graph;
        if (index >= taken.size() || graph[renamed(taken[index])].shape != graph[outputs.front()].shape) {
            // an output without a stream of its own, such as a skip, keeps the plain rule
            return kept(rule, made, false);
        }
        has_delta_.push_back(rule);
        const NodeId input = renamed(taken[index]);
        std::vector<NodeId> added;
        for (std::size_t v = 0; v < outputs.size(); ++v)
            added.push_back(
                result_.append(graph::Binary::subtract, outputs[v], input, graph[made[v]].module));
        const NodeId last = recall(rule, added, is_combination(schedule_.rules[rule].store));
        const NodeId loaded = result_.append(graph::Binary::add, input, last, around(rule));
        return choose(rule, any_of(module, made), loaded);
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

    NodeId choose(std::size_t rule, NodeId fresh, NodeId loaded) {
        const Node& output = result_.graph[fresh];
        const ModuleId module = module_of_rule(rule);
        Node node;
        node.op = Op::input;
        node.module = around(rule);
        node.attributes =
            graph::InputAttrs{fmt::format("{}:{}", module_name(module), fresh), output.type, output.shape};
        graph::infer(result_.graph, node);
        const NodeId id = append(std::move(node), Role::choice);
        result_.choice_of[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(result_.choices.size());
        result_.choices.push_back({id, fresh, module, loaded, rule});
        return id;
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
    std::span<const Variant> variants_;
    Extended result_;
    std::vector<NodeId> renamed_;
    std::vector<std::size_t> has_delta_;
    std::map<ModuleId, std::vector<std::vector<NodeId>>> variant_outputs_;  ///< [variant - 1][output]
};

}  // namespace

ModuleId first_inside(const Graph& graph, ModuleId outer, std::initializer_list<ModuleKind> kinds) {
    for (std::size_t m = 0; m < graph.modules.size(); ++m)
        if (graph.modules[m].part == graph.modules[static_cast<std::size_t>(outer)].part &&
            graph.is_within(static_cast<ModuleId>(m), outer) &&
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

NodeId Extended::append(Node node, Role role) {
    graph.nodes.push_back(std::move(node));
    roles.push_back(role);
    choice_of.push_back(-1);
    makers_of.push_back(-1);
    value_of.push_back(static_cast<NodeId>(value_of.size()));
    persistent.push_back(false);
    return static_cast<NodeId>(graph.nodes.size() - 1);
}

NodeId Extended::append(graph::Binary function, NodeId a, NodeId b, ModuleId module) {
    Node node;
    node.op = Op::binary;
    node.inputs = {a, b};
    node.attributes = graph::BinaryAttrs{function};
    node.module = module;
    graph::infer(graph, node);
    return append(std::move(node), Role::computed);
}

bool Extended::is_called(ModuleId module, const std::vector<bool>& module_runs) const {
    const auto parent = static_cast<std::size_t>(graph.modules[static_cast<std::size_t>(module)].parent);
    const int variant = variant_of[static_cast<std::size_t>(module)];
    return module_runs[parent] &&
           (variant < 0 ||
            module_runs[static_cast<std::size_t>(body_of[parent]) + static_cast<std::size_t>(variant)]);
}

NodeId Extended::resolved(NodeId id, const std::vector<bool>& module_runs) const {
    const auto runs = [&](ModuleId module) { return module_runs[static_cast<std::size_t>(module)]; };
    if (const Choice* own = choice(id)) {
        if (runs(own->module)) return resolved(own->fresh, module_runs);
        return own->loaded >= 0 ? own->loaded : id;
    }
    const Makers* own = made(id);
    if (own == nullptr) return id;
    for (const NodeId maker : own->nodes)
        if (runs(graph[maker].module)) return maker;
    return id;
}

Extended extend(const Graph& graph, const Schedule& schedule, std::span<const Variant> variants) {
    return Extender(graph, schedule, variants).run();
}

}  // namespace reprise::cachify
