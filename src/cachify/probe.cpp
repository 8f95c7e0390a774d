#include "cachify/probe.h"

#include <algorithm>
#include <map>

#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::Module;
using graph::ModuleId;
using graph::Node;
using graph::NodeId;

namespace {

class Prober {
  public:
    Prober(Extended& extended, const Graph& source, const Schedule& schedule,
           const std::vector<NodeId>& renamed)
        : extended_(extended), source_(source), schedule_(schedule), renamed_(renamed) {}

    void add(const Decision& decision) {
        const bool of_modules = decision.probe == Decision::Probe::residual;
        if (!of_modules && decision.probe != Decision::Probe::modulated) return;
        const ModuleId first = module_of(decision.first);
        const ModuleId last = decision.last.empty() ? first : module_of(decision.last);
        const NodeId value = of_modules ? residual(first, last) : modulated(first);
        if (extended_.role(value) != Role::computed)
            usage_error("a decision looks at a value of '{}' that is the same at every step",
                        source_.modules[static_cast<std::size_t>(first)].name);
        extended_.graph.outputs.push_back({"probe", value});
        extended_.num_probes = 1;
    }

  private:
    NodeId renamed(NodeId id) const { return renamed_[static_cast<std::size_t>(id)]; }

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

    /// Whether a decision is about the module or one around it, or that has variants.
    bool is_decided_on(ModuleId module) const {
        for (; module > 0; module = extended_.graph.modules[static_cast<std::size_t>(module)].parent) {
            if (extended_.body_of[static_cast<std::size_t>(module)] >= 0) return true;
            const auto rule = extended_.rule_of[static_cast<std::size_t>(module)];
            if (rule >= 0 && !schedule_.rules[static_cast<std::size_t>(rule)].modes.empty()) return true;
        }
        return false;
    }

    /// The same value, computed outside of what a decision is about.
    NodeId beside(NodeId id) {
        Node node = extended_.graph[id];
        if (extended_.role(id) != Role::computed || !is_decided_on(node.module)) return id;
        const auto known = beside_.find(id);
        if (known != beside_.end()) return known->second;
        for (NodeId& input : node.inputs) input = beside(input);
        node.module = 0;
        const NodeId copy = extended_.append(std::move(node), Role::computed);
        beside_[id] = copy;
        return copy;
    }

    /// What the modules from `first` to `last` add to their stream, or what they give where it has another
    /// shape.
    NodeId residual(ModuleId first, ModuleId last) {
        const NodeId in = taken_by(first);
        const NodeId out = given_by(last);
        const Graph& graph = extended_.graph;
        return graph[in].shape == graph[out].shape ? extended_.append(graph::Binary::subtract, out, in, 0)
                                                   : out;
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

    Extended& extended_;
    const Graph& source_;
    const Schedule& schedule_;
    const std::vector<NodeId>& renamed_;
    std::map<NodeId, NodeId> beside_;
};

}  // namespace

void add_probe(Extended& extended, const Graph& source, const Schedule& schedule,
               const std::vector<NodeId>& renamed) {
    if (schedule.decision) Prober(extended, source, schedule, renamed).add(*schedule.decision);
}

}  // namespace reprise::cachify
