#pragma once

#include <span>
#include <string>
#include <vector>

#include "graph/module.h"
#include "graph/op.h"

namespace reprise::graph {

/// One operation with one result. Inputs are earlier nodes: a graph is in topological order by construction.
struct Node {
    Op op = Op::input;
    std::vector<NodeId> inputs;
    Attributes attributes;
    ModuleId module = 0;  ///< the innermost module that it belongs to
    Shape shape;
    DType type = DType::f32;

    template <class A>
    const A& attrs() const {
        return std::get<A>(attributes);
    }
};

/// A model, or a piece of one, as operations on values. Plain data; weights are shared handles, so a copy
/// is cheap in memory.
struct Graph {
    struct Output {
        std::string name;
        NodeId node = 0;
    };

    std::string name;  ///< for messages: "unet"
    std::vector<Node> nodes;
    std::vector<Module> modules;  ///< [0] is the root
    std::vector<NodeId> inputs;   ///< the Op::input nodes, in the order in which they are bound
    std::vector<Output> outputs;

    const Node& operator[](NodeId id) const { return nodes[static_cast<std::size_t>(id)]; }
    /// The id of the module of that full name, or -1.
    ModuleId find_module(std::string_view module_name) const;
    /// True when `inner` is `outer` or lies inside it.
    bool is_within(ModuleId inner, ModuleId outer) const;
    /// Position in `inputs` of the input of that name; Error (failure) when there is none.
    std::size_t input_index(std::string_view input_name) const;
    /// What the input at a position in `inputs` was declared as.
    const InputAttrs& input(std::size_t position) const {
        return (*this)[inputs[position]].attrs<InputAttrs>();
    }
    /// Position in `inputs` of the latents; Error (failure) when there are none.
    std::size_t latents_index() const;
};

/// For each node, the nodes that read it.
std::vector<std::vector<NodeId>> consumers(const Graph& graph);
/// For each node, whether an output (or one of `roots`) depends on it.
std::vector<bool> reachable_backward(const Graph& graph, std::span<const NodeId> roots);
/// The graph without nodes that no output depends on. Inputs stay, read or not.
Graph pruned(const Graph& graph);

/// Shape and type of a node from its inputs; Error (failure) naming op, module and what does not fit.
void infer(const Graph& graph, Node& node);

/// What a node costs to run once.
struct Cost {
    double flops = 0;             ///< a multiply-accumulate counts 2
    double activation_bytes = 0;  ///< values read and written
    double weight_bytes = 0;      ///< constants read

    Cost& operator+=(const Cost& other) {
        flops += other.flops;
        activation_bytes += other.activation_bytes;
        weight_bytes += other.weight_bytes;
        return *this;
    }
};
Cost cost_of(const Graph& graph, const Node& node);
Cost cost_of(const Graph& graph);
/// Number of elements in the constants of a module and those inside it (0: the whole graph).
std::int64_t parameter_count(const Graph& graph, ModuleId module);

}  // namespace reprise::graph
