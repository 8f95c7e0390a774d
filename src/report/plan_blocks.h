#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "cachify/plan.h"

namespace reprise::report {

/// Where a value comes from: a block or the latents, computed at this execution or kept from an earlier one.
struct Origin {
    int from = 0;             ///< a block, or GraphDrawing::kLatents
    graph::NodeId kept = -1;  ///< the node whose slot it is read from; -1: computed now

    auto operator<=>(const Origin&) const = default;
};
using Origins = std::set<Origin>;
/// By link, from one block (or end) to another: what passes.
using Flow = std::map<std::pair<int, int>, Origins>;

/// The outermost blocks of a plan's denoiser, in the order in which they run, and what passes between them.
class PlanBlocks {
  public:
    static constexpr int kOutside = -9;

    explicit PlanBlocks(const cachify::Plan& plan);

    const std::vector<graph::ModuleId>& modules() const { return blocks_; }
    /// The block that a module is in or is; kOutside for one in none.
    int block_of(graph::ModuleId id) const { return block_of_module_[static_cast<std::size_t>(id)]; }
    /// The same, and for what holds several blocks (a chain of them) the last of those.
    int last_block_of(graph::ModuleId id) const;
    /// FLOPs of these nodes by block.
    std::vector<double> work_of(const std::vector<bool>& runs) const;
    /// By node: whether it runs at an execution.
    std::vector<bool> nodes_run(std::size_t execution) const;
    std::size_t bytes_of(graph::NodeId id) const;

    /// What passes between blocks at an execution; for -1, where everything is computed.
    Flow flow_at(std::ptrdiff_t execution) const;

  private:
    Flow flow_of(const std::vector<bool>& runs, const cachify::Analysis::PerExecution* execution) const;
    Origins chosen(const cachify::Choice& choice, const cachify::Analysis::PerExecution* execution,
                   const std::vector<Origins>& origins, Flow& flow) const;

    const cachify::Plan& plan_;
    const graph::Graph& graph_;
    std::vector<int> block_of_module_;
    std::vector<graph::ModuleId> blocks_;
};

}  // namespace reprise::report
