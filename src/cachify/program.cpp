#include "cachify/program.h"

#include <algorithm>
#include <map>
#include <set>

#include "cachify/combination.h"
#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::NodeId;

namespace {

std::size_t bytes_of(const std::vector<Slot>& slots, auto&& counts) {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < slots.size(); ++i)
        if (counts(i, slots[i])) bytes += slots[i].bytes();
    return bytes;
}

}  // namespace

/// Turns run lists into instructions and gives every value a slot.
class ProgramWriter::State {
  public:
    State(const Extended& extended, const Schedule& schedule, const Analysis& analysis,
          const Partition& partition, std::size_t index, const std::vector<Segment>& segments)
        : extended_(extended),
          graph_(extended.graph),
          schedule_(schedule),
          analysis_(analysis),
          partition_(partition),
          runs_(partition.runs.at(index)),
          segments_(segments) {
        for (std::size_t i = 0; i < graph_.inputs.size(); ++i) host_[graph_.inputs[i]] = static_cast<int>(i);
        for (const auto& execution : analysis_.executions)
            for (const auto& read : execution.stale) {
                int& size = ring_size_[{read.node, read.branch}];
                size = std::max(size, read.count);
            }
        prologue();
    }

    const Program& program() const { return program_; }

    int add_slot(NodeId node, int branch, int version) {
        program_.slots.push_back({node, branch, version, graph_[node].type, graph_[node].shape});
        return static_cast<int>(program_.slots.size() - 1);
    }

    void prologue() {
        program_.prologues.resize(static_cast<std::size_t>(analysis_.num_branches));
        if (partition_.prologue.empty()) return;
        const Segment& segment = segments_.back();
        for (int branch = 0; branch < analysis_.num_branches; ++branch) {
            RunSegment run;
            run.segment = static_cast<int>(segments_.size() - 1);
            for (const NodeId input : segment.inputs)
                run.inputs.push_back({Operand::From::host, host_.at(input)});
            for (const NodeId output : segment.outputs) {
                run.outputs.push_back(add_slot(output, branch, 0));
                once_[{output, branch}] = run.outputs.back();
            }
            program_.prologues[static_cast<std::size_t>(branch)].emplace_back(std::move(run));
        }
        program_.prologue_slots = static_cast<int>(program_.slots.size());
    }

    // ---- slots within one execution, shared as soon as nobody reads them any more ----

    int take_scratch(NodeId node) {
        auto& free = free_[{graph_[node].type, graph_[node].shape}];
        if (free.empty()) return add_slot(node, -1, 0);
        const int slot = free.back();
        free.pop_back();
        program_.slots[static_cast<std::size_t>(slot)].node = node;
        return slot;
    }
    void give_back(int slot) {
        const Slot& s = program_.slots[static_cast<std::size_t>(slot)];
        free_[{s.type, s.shape}].push_back(slot);
    }

    // ---- kept values ----

    struct History {
        std::vector<int> slots;    ///< newest first
        std::vector<int> when;     ///< the evaluations that computed them, newest first
        std::vector<int> buffers;  ///< by version
        std::size_t writes = 0;
    };

    int keep(NodeId node, int branch, int evaluation) {
        const auto size = static_cast<std::size_t>(ring_size_.at({node, branch}));
        History& history = history_[{node, branch}];
        const std::size_t version = history.writes++ % size;
        if (version == history.buffers.size())
            history.buffers.push_back(add_slot(node, branch, static_cast<int>(version)));
        const int slot = history.buffers[version];
        history.slots.insert(history.slots.begin(), slot);
        history.when.insert(history.when.begin(), evaluation);
        history.slots.resize(std::min(history.slots.size(), size));
        history.when.resize(std::min(history.when.size(), size));
        return slot;
    }

    const History& history(NodeId node, int branch) const {
        const auto found = history_.find({node, branch});
        if (found == history_.end()) failure("planner: a kept value of {} was never written", graph_.name);
        return found->second;
    }

    /// The value that a read of `id` reaches at an execution. Slots are values', whichever node makes them.
    NodeId resolved(std::size_t x, NodeId id) const {
        return extended_.value(extended_.resolved(id, analysis_.executions[x].module_runs));
    }

    /// Where a value is read from at an execution.
    Operand operand(std::size_t x, NodeId value) const {
        const NodeId id = resolved(x, value);
        const int branch = analysis_.sequence[x].branch;
        switch (extended_.role(id)) {
            case Role::varying:
            case Role::fixed:
                return {Operand::From::host, host_.at(id)};
            case Role::prologue:
                return {Operand::From::slot, once_.at({id, branch})};
            case Role::weight:
                failure("planner: a weight of {} crosses segments", graph_.name);
            case Role::choice:
            case Role::made:
            case Role::computed:
                break;
        }
        const auto now = here_.find(id);
        if (now != here_.end()) return {Operand::From::slot, now->second};
        return {Operand::From::slot, history(id, branch).slots.front()};
    }

    /// For each value, the position in the run list of the last segment that reads it.
    std::map<NodeId, std::size_t> last_reads(std::size_t x) const {
        std::map<NodeId, std::size_t> last;
        for (std::size_t position = 0; position < runs_[x].size(); ++position)
            for (const NodeId input : segments_[static_cast<std::size_t>(runs_[x][position])].inputs)
                last[resolved(x, input)] = position;
        for (const auto& output : graph_.outputs) last[resolved(x, output.node)] = runs_[x].size();
        return last;
    }

    std::vector<Instruction> execution(std::size_t x) {
        const Execution& now = analysis_.sequence[x];
        if (!probed_ || now.mode == Execution::kProbe) begin();
        std::vector<Instruction> instructions;
        combine(x, instructions);
        const auto last = last_reads(x);
        for (std::size_t position = 0; position < runs_[x].size(); ++position) {
            const int index = runs_[x][position];
            if (!ran_.insert(index).second) continue;
            run(x, index, instructions);
            // After a probe it is not known yet who reads.
            if (now.mode == Execution::kProbe) continue;
            std::erase_if(scratch_, [&](const auto& value) {
                const auto read = last.find(value.first);
                if (read != last.end() && read->second > position) return false;
                give_back(value.second);
                return true;
            });
        }
        probed_ = now.mode == Execution::kProbe;
        return instructions;
    }

    std::vector<Operand> outputs(std::size_t x) const {
        const bool probe = analysis_.sequence[x].mode == Execution::kProbe;
        std::vector<Operand> result;
        for (std::size_t i = probe ? extended_.first_probe() : 0; i < graph_.outputs.size(); ++i)
            result.push_back(operand(x, graph_.outputs[i].node));
        return result;
    }

  private:
    /// Lets go of the values of the execution before, which were valid until now.
    void begin() {
        for (const auto& [node, slot] : scratch_) give_back(slot);
        scratch_.clear();
        here_.clear();
        ran_.clear();
    }

    void run(std::size_t x, int index, std::vector<Instruction>& instructions) {
        const Execution& now = analysis_.sequence[x];
        const auto& wanted = analysis_.executions[x];
        const Segment& segment = segments_[static_cast<std::size_t>(index)];
        RunSegment run;
        run.segment = index;
        for (const NodeId input : segment.inputs) run.inputs.push_back(operand(x, input));
        for (const NodeId output : segment.outputs) {
            const NodeId value = extended_.value(output);
            const bool kept = wanted.kept[static_cast<std::size_t>(value)];
            const int slot = kept ? keep(value, now.branch, now.evaluation) : take_scratch(value);
            if (!kept) scratch_.emplace_back(value, slot);
            here_[value] = slot;
            run.outputs.push_back(slot);
        }
        instructions.emplace_back(std::move(run));
    }

    /// Combinations, which read only what was kept before.
    void combine(std::size_t x, std::vector<Instruction>& instructions) {
        const Execution& now = analysis_.sequence[x];
        for (const Choice& choice : extended_.choices) {
            if (choice.loaded >= 0 || here_.contains(choice.node) ||
                !analysis_.is_reused(extended_, schedule_, x, choice.rule))
                continue;
            const auto& stale = analysis_.executions[x].stale;
            const bool wanted = std::any_of(stale.begin(), stale.end(),
                                            [&](const auto& read) { return read.node == choice.fresh; });
            if (!wanted) continue;
            Combine combine;
            const Store store = schedule_.rules[choice.rule].store;
            if (store.rule != Store::Rule::mean) {
                const History& past = history(choice.fresh, now.branch);
                const auto weights = weights_at(store, past.when, now.evaluation, now.decision);
                for (std::size_t i = 0; i < weights.size(); ++i)
                    combine.terms.push_back({past.slots[i], weights[i]});
            } else {
                const float weight = 1.0F / static_cast<float>(analysis_.num_branches);
                for (int b = 0; b < analysis_.num_branches; ++b)
                    combine.terms.push_back({history(choice.fresh, b).slots.front(), weight});
            }
            combine.slot = take_scratch(choice.node);
            scratch_.emplace_back(choice.node, combine.slot);
            here_[choice.node] = combine.slot;
            instructions.emplace_back(std::move(combine));
        }
    }

    const Extended& extended_;
    const Graph& graph_;
    const Schedule& schedule_;
    const Analysis& analysis_;
    const Partition& partition_;
    const std::vector<std::vector<int>>& runs_;
    const std::vector<Segment>& segments_;
    Program program_;
    std::map<NodeId, int> host_;
    std::map<std::pair<NodeId, int>, int> once_;       ///< prologue values by branch
    std::map<std::pair<NodeId, int>, int> ring_size_;  ///< how many versions of a kept value there are
    std::map<std::pair<NodeId, int>, History> history_;
    std::map<NodeId, int> here_;                   ///< values of this execution
    std::set<int> ran_;                            ///< segments that this execution has run
    std::vector<std::pair<NodeId, int>> scratch_;  ///< values that end with it, and their slots
    bool probed_ = false;                          ///< whether its probe has run and its mode is to come
    std::map<std::pair<DType, Shape>, std::vector<int>> free_;
};

ProgramWriter::ProgramWriter(const Extended& extended, const Schedule& schedule, const Analysis& analysis,
                             const Partition& partition, std::size_t index,
                             const std::vector<Segment>& segments)
    : state_(std::make_unique<State>(extended, schedule, analysis, partition, index, segments)) {}
ProgramWriter::~ProgramWriter() = default;
ProgramWriter::ProgramWriter(ProgramWriter&&) noexcept = default;
std::vector<Instruction> ProgramWriter::write(std::size_t execution) {
    return state_->execution(execution);
}
std::vector<Operand> ProgramWriter::outputs(std::size_t execution) const {
    return state_->outputs(execution);
}
const Program& ProgramWriter::program() const {
    return state_->program();
}

std::size_t Program::kept_bytes() const {
    return bytes_of(slots, [&](std::size_t i, const Slot& slot) {
        return slot.branch >= 0 && i >= static_cast<std::size_t>(prologue_slots);
    });
}
std::size_t Program::prologue_bytes() const {
    return bytes_of(slots,
                    [&](std::size_t i, const Slot&) { return i < static_cast<std::size_t>(prologue_slots); });
}
std::size_t Program::scratch_bytes() const {
    return bytes_of(slots, [](std::size_t, const Slot& slot) { return slot.branch < 0; });
}

Program make_program(const Extended& extended, const Schedule& schedule, const Analysis& analysis,
                     const Partition& partition, std::size_t index, const std::vector<Segment>& segments) {
    ProgramWriter writer(extended, schedule, analysis, partition, index, segments);
    std::vector<std::vector<Instruction>> executions(analysis.sequence.size());
    std::vector<std::vector<Operand>> outputs(analysis.sequence.size());
    for (const std::size_t x : analysis.path) {
        executions[x] = writer.write(x);
        outputs[x] = writer.outputs(x);
    }
    Program program = writer.program();
    program.executions = std::move(executions);
    program.outputs = std::move(outputs);
    return program;
}

}  // namespace reprise::cachify
