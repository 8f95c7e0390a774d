#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "reprise/tensor.h"

namespace reprise::pipelines {

/// What a watch is shown of one evaluation of one branch. Tensors are in the denoiser's precision and valid
/// during the call only.
struct Sight {
    struct Module {
        std::string name;
        graph::ModuleKind kind = graph::ModuleKind::block;
        std::vector<Tensor> outputs;
        /// The stream that output i transforms, where it has one of its shape; else undefined.
        std::vector<Tensor> streams;
        /// The picture's stream as the module takes and gives it, of whatever shapes; undefined without one.
        Tensor input, output;
    };

    int step = 0;
    int branch = 0;
    std::span<const Module> modules;  ///< in the denoiser's order
    /// The first block's input as the timestep modulates it: what its first attention takes; where it has
    /// none, what its first resnet gives. Undefined in a denoiser without blocks.
    Tensor modulated;
    Tensor sample, prediction;  ///< the denoiser's, f32
};

/// Modules whose values are looked at while a denoiser runs without reuse.
struct Watch {
    std::function<bool(const graph::Module& module)> wanted;
    std::function<void(const Sight& sight)> see;
};

/// The places of a graph that a watch looks at.
class WatchPoints {
  public:
    WatchPoints(const graph::Graph& graph, const Watch& watch);

    /// The graph with these places as further outputs.
    graph::Graph exposed(graph::Graph graph) const;
    /// Shows a sight with what the outputs of such a graph have of its modules.
    void show(Sight sight, const std::vector<Tensor>& outputs) const;

  private:
    /// The output that will hold a node's value.
    std::size_t place(graph::NodeId id);

    struct Module {
        std::string name;
        graph::ModuleKind kind;
        std::vector<std::size_t> outputs;
        std::vector<std::ptrdiff_t> streams;  ///< or -1
        std::ptrdiff_t input = -1, output = -1;
    };
    std::function<void(const Sight&)> see_;
    std::size_t first_ = 0;  ///< outputs of the graph itself
    std::vector<graph::NodeId> nodes_;
    std::vector<Module> modules_;
    std::ptrdiff_t modulated_ = -1;
};

}  // namespace reprise::pipelines
