#include "report/plan_blocks.h"

#include <algorithm>

#include "report/graph_drawing.h"

namespace reprise::report {

using graph::ModuleId;
using graph::NodeId;

PlanBlocks::PlanBlocks(const cachify::Plan& plan)
    : plan_(plan), graph_(plan.extended.graph), block_of_module_(graph_.modules.size(), kOutside) {
    for (std::size_t m = 1; m < graph_.modules.size(); ++m) {
        const auto& module = graph_.modules[m];
        const auto above = static_cast<std::size_t>(module.parent);
        if (module.kind == ModuleKind::block && block_of_module_[above] == kOutside) {
            block_of_module_[m] = static_cast<int>(blocks_.size());
            blocks_.push_back(static_cast<ModuleId>(m));
        } else {
            block_of_module_[m] = block_of_module_[above];
        }
    }
}

int PlanBlocks::last_block_of(ModuleId id) const {
    int block = block_of_module_[static_cast<std::size_t>(id)];
    for (std::size_t b = 0; b < blocks_.size() && block == kOutside; ++b)
        if (graph_.is_within(blocks_[blocks_.size() - 1 - b], id))
            block = static_cast<int>(blocks_.size() - 1 - b);
    return block;
}

std::vector<double> PlanBlocks::work_of(const std::vector<bool>& runs) const {
    std::vector<double> work(blocks_.size(), 0);
    for (std::size_t n = 0; n < runs.size(); ++n) {
        const int block = block_of(std::max(graph_.nodes[n].module, 0));
        if (runs[n] && block >= 0)
            work[static_cast<std::size_t>(block)] += cost_of(graph_, graph_.nodes[n]).flops;
    }
    return work;
}

std::vector<bool> PlanBlocks::nodes_run(std::size_t x) const {
    std::vector<bool> runs(graph_.nodes.size(), false);
    for (const int s : plan_.partition.runs[0][x])
        for (const NodeId n : plan_.partition.segments[static_cast<std::size_t>(s)])
            runs[static_cast<std::size_t>(n)] = true;
    return runs;
}

std::size_t PlanBlocks::bytes_of(NodeId id) const {
    const graph::Node& node = graph_[id];
    return static_cast<std::size_t>(element_count(node.shape)) * size_of(node.type);
}

Flow PlanBlocks::flow_at(std::ptrdiff_t execution) const {
    if (execution < 0) return flow_of(plan_.full_analysis.executions.front().must, nullptr);
    const auto x = static_cast<std::size_t>(execution);
    return flow_of(nodes_run(x), &plan_.analysis.executions[x]);
}

/// Without an execution no module is reused.
Flow PlanBlocks::flow_of(const std::vector<bool>& runs,
                         const cachify::Analysis::PerExecution* execution) const {
    Flow flow;
    std::vector<Origins> origins(graph_.nodes.size());
    std::set<NodeId> stale;
    if (execution)
        for (const auto& read : execution->stale) stale.insert(read.node);
    const auto pass = [&](NodeId value, int to) {
        for (const Origin& origin : origins[static_cast<std::size_t>(value)])
            if (origin.from != to) flow[{origin.from, to}].insert(origin);
    };
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
        const auto id = static_cast<NodeId>(n);
        const graph::Node& node = graph_.nodes[n];
        const int block = block_of(std::max(node.module, 0));
        const cachify::Role role = plan_.extended.role(id);
        Origins& own = origins[n];
        if (role == cachify::Role::choice) {
            own = chosen(*plan_.extended.choice(id), execution, origins, flow);
        } else if (role == cachify::Role::varying) {
            if (node.attrs<graph::InputAttrs>().latents) own = {{GraphDrawing::kLatents, -1}};
        } else if (stale.contains(id)) {
            if (block != kOutside) own = {{block, id}};
        } else if (role == cachify::Role::computed && runs[n]) {
            for (const NodeId input : node.inputs) {
                if (block != kOutside)
                    pass(input, block);
                else
                    own.insert(origins[static_cast<std::size_t>(input)].begin(),
                               origins[static_cast<std::size_t>(input)].end());
            }
            if (block != kOutside) own = {{block, -1}};
        }
    }
    for (std::size_t i = 0; i < plan_.extended.first_probe(); ++i)
        pass(graph_.outputs[i].node, GraphDrawing::kPrediction);
    return flow;
}

/// What readers of a module's output see.
Origins PlanBlocks::chosen(const cachify::Choice& choice, const cachify::Analysis::PerExecution* execution,
                           const std::vector<Origins>& origins, Flow& flow) const {
    const ModuleId owner = graph_[choice.fresh].module;
    const int block = last_block_of(owner);
    if (!execution || execution->module_runs[static_cast<std::size_t>(owner)])
        return origins[static_cast<std::size_t>(choice.fresh)];
    const bool whole = block >= 0 && graph_.is_within(blocks_[static_cast<std::size_t>(block)], owner);
    if (!whole) return {{block, -1}};  // kept inside the block
    if (choice.loaded < 0) return {{block, choice.fresh}};
    // a change added to what comes in: that still passes through the block
    const auto& inputs = graph_[choice.loaded].inputs;
    const auto& taken = origins[static_cast<std::size_t>(inputs[0])];
    if (graph_.modules[static_cast<std::size_t>(owner)].kind ==
        ModuleKind::denoiser) {  // all of it: what comes in goes right out
        Origins own = taken;
        own.insert({block, inputs[1]});
        return own;
    }
    for (const Origin& origin : taken)
        if (origin.from != block) flow[{origin.from, block}].insert(origin);
    return {{block, inputs[1]}};
}

}  // namespace reprise::report
