#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "backends/backend.h"
#include "cachify/analysis.h"
#include "cachify/program.h"
#include "cachify/variant.h"

namespace reprise::cachify::testing {

/// The meaning of a schedule, run naively: every matched module is wrapped so that where the schedule says so
/// it returns what its store rule makes of its last outputs, and otherwise runs, in the variant that the
/// schedule says, and remembers. Node by node over the original graph; knows nothing of plans.
class Naive {
  public:
    Naive(const graph::Graph& graph, const Schedule& schedule, const backends::Backend& backend,
          const std::vector<Variant>& variants = {});

    /// One execution; `inputs` are the graph's, in order. Yields its outputs. Error (failure) when a module
    /// is reused that never ran.
    std::vector<Tensor> run(const Execution& execution, const std::vector<Tensor>& inputs);
    /// What a node was in the last execution.
    const Tensor& value(graph::NodeId id) const { return values_.at(static_cast<std::size_t>(id)); }
    /// A node of the graph, of its inputs among the values of all nodes.
    Tensor evaluated(graph::NodeId id, const std::vector<Tensor>& values) {
        return evaluate(graph_, id, values);
    }
    /// Nodes computed so far.
    std::size_t computed() const { return computed_; }

  private:
    struct Memory {
        std::vector<Tensor> values;       ///< newest first
        std::vector<int> when;            ///< evaluations, newest first
        std::vector<Tensor> differences;  ///< output - input, likewise
    };
    const Schedule::Rule* rule(graph::ModuleId module) const;
    bool is_reused(graph::ModuleId module, const Execution& execution) const;
    /// The variant that the module runs in.
    const Variant* variant(graph::ModuleId module, const Execution& execution) const;
    Tensor evaluate(const graph::Graph& graph, graph::NodeId id, const std::vector<Tensor>& values);
    std::vector<Tensor> evaluate(const Variant& variant, const std::vector<Tensor>& values);
    Tensor load(const Schedule::Rule& rule, graph::NodeId output, const Execution& execution,
                const std::vector<Tensor>& values);
    Memory& memory(graph::NodeId output, int branch) { return memory_[{output, branch}]; }
    std::optional<graph::NodeId> taken(graph::NodeId output) const;

    struct Compiled {
        std::unique_ptr<backends::Executable> executable;
        std::unique_ptr<backends::Request> request;
    };
    const graph::Graph& graph_;
    const Schedule& schedule_;
    const backends::Backend& backend_;
    std::unique_ptr<backends::Queue> queue_ = backend_.queue({});
    std::vector<const Schedule::Rule*> rules_;  ///< by module
    std::vector<Variant> variants_;
    std::map<std::pair<const graph::Graph*, graph::NodeId>, Compiled> compiled_;
    std::map<std::pair<graph::NodeId, int>, Memory> memory_;
    std::vector<Tensor> values_;  ///< by node, of the last execution
    std::size_t computed_ = 0;
};

}  // namespace reprise::cachify::testing
