#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "cachify/schedule.h"
#include "cachify/variant.h"
#include "graph/graph.h"

namespace reprise::cachify {

/// What a node is to the planner.
enum class Role : std::uint8_t {
    computed,  ///< runs inside an evaluation
    varying,   ///< an input that is given at each evaluation: latents, timestep
    fixed,     ///< an input that is given once for the whole generation: text
    weight,    ///< depends on no input
    prologue,  ///< depends on fixed inputs only: run once per generation and branch
    choice,    ///< stands for a module's output: the fresh one or the loaded one
    made,      ///< stands for a value of a module that has variants: that of the variant that runs
};

/// Where readers of a module's output look when its store rule gives them something else than the last
/// output.
struct Choice {
    graph::NodeId node = 0;  ///< the placeholder that readers read: an Op::input of the extended graph
    /// The module_output, or what stands for it where there are several (Makers): read when the module runs.
    graph::NodeId fresh = 0;
    graph::ModuleId module = 0;
    /// With differences: input + stored difference, computed when the module is reused. The choice itself is
    /// then never combined from slots, but of a combination of differences there is a second one for these.
    graph::NodeId loaded = -1;
    std::size_t rule = 0;  ///< index into Schedule::rules
};

/// A value of a module that has several variants. Each of them makes it. Readers read the placeholder, and
/// what is kept is the placeholder's, whichever variant made it.
struct Makers {
    graph::NodeId node = 0;  ///< the placeholder: an Op::input of the extended graph
    graph::ModuleId module = 0;
    std::vector<graph::NodeId> nodes;  ///< by variant
};

/// A graph with the nodes that store rules need: what the planner works on. Outputs of modules that no rule
/// names are gone; those of modules that have one are where reuse cuts. The bodies of a module that has
/// variants are modules inside it, after all others.
struct Extended {
    graph::Graph graph;
    std::vector<Role> roles;  ///< by node
    std::vector<Choice> choices;
    std::vector<std::int32_t> choice_of;  ///< by node: index into choices, or -1
    std::vector<Makers> makers;
    std::vector<std::int32_t> makers_of;  ///< by node: for a placeholder its index into makers, or -1
    std::vector<graph::NodeId> value_of;  ///< by node: the placeholder for what it is one maker of, or itself
    std::vector<bool> persistent;         ///< by node: may be read at an execution where it is not computed
    std::vector<std::int32_t> rule_of;    ///< by module: index into Schedule::rules, or -1
    std::vector<graph::ModuleId> body_of;  ///< by module: of its variant 0, which the others follow, or -1
    std::vector<std::int32_t> variant_of;  ///< by module: in which variant of its parent it is, or -1: in all
    std::size_t num_probes = 0;            ///< the last so many outputs are what a decision looks at

    /// Adds a node that no choice stands for and that makes no placeholder's value.
    graph::NodeId append(graph::Node node, Role role);
    /// Adds a computed node: the elementwise function of two.
    graph::NodeId append(graph::Binary function, graph::NodeId a, graph::NodeId b, graph::ModuleId module);

    std::size_t first_probe() const { return graph.outputs.size() - num_probes; }

    Role role(graph::NodeId id) const { return roles[static_cast<std::size_t>(id)]; }
    const Choice* choice(graph::NodeId id) const {
        const auto index = choice_of[static_cast<std::size_t>(id)];
        return index < 0 ? nullptr : &choices[static_cast<std::size_t>(index)];
    }
    const Makers* made(graph::NodeId id) const {
        const auto index = makers_of[static_cast<std::size_t>(id)];
        return index < 0 ? nullptr : &makers[static_cast<std::size_t>(index)];
    }
    graph::NodeId value(graph::NodeId id) const { return value_of[static_cast<std::size_t>(id)]; }
    /// Whether what is around the module runs, where those modules run: it then runs itself or is reused.
    bool is_called(graph::ModuleId module, const std::vector<bool>& module_runs) const;
    /// What a read of `id` reaches where those modules run: a computed node, or an input. The id of a choice
    /// where that is combined from slots, of a placeholder where it is read from its slot.
    graph::NodeId resolved(graph::NodeId id, const std::vector<bool>& module_runs) const;
};

/// The first module inside `outer`, of its part, of one of these kinds, or -1.
graph::ModuleId first_inside(const graph::Graph& graph, graph::ModuleId outer,
                             std::initializer_list<ModuleKind> kinds);
/// A block's input as the timestep modulates it: what its first attention takes; where it has none, what its
/// first resnet gives. -1 where it has neither and gives nothing.
graph::NodeId modulated_input(const graph::Graph& graph, graph::ModuleId block);

/// What the schedule's decision looks at is added as an output, where it is a value of the graph. Error
/// (usage) when a delta rule names a module none of whose outputs has an input of its shape.
Extended extend(const graph::Graph& graph, const Schedule& schedule, std::span<const Variant> variants = {});

}  // namespace reprise::cachify
