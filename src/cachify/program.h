#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "cachify/segment.h"

namespace reprise::cachify {

/// The buffer of a value that crosses segments. A reused value is a slot that nobody overwrote.
struct Slot {
    graph::NodeId node = -1;  ///< of the extended graph; the last one that used it, where several share it
    int branch = -1;          ///< -1: lives only within one execution, shared by the branches
    int version = 0;          ///< several executions back are kept for combinations
    DType type = DType::f32;
    Shape shape;

    std::size_t bytes() const { return static_cast<std::size_t>(element_count(shape)) * size_of(type); }
};

/// What an input is bound to.
struct Operand {
    enum class From { slot, host } from = From::slot;
    int index = 0;  ///< of the slot, or of the graph's input
};

struct RunSegment {
    int segment = 0;
    std::vector<Operand> inputs;
    std::vector<int> outputs;  ///< slots
};

/// slot = sum of weight * slot.
struct Combine {
    struct Term {
        int slot = 0;
        float weight = 0;
    };
    int slot = 0;
    std::vector<Term> terms;
};

using Instruction = std::variant<RunSegment, Combine>;

/// A short program for each evaluation and branch.
struct Program {
    std::vector<Slot> slots;
    std::vector<std::vector<Instruction>> prologues;   ///< by branch: once, before everything
    std::vector<std::vector<Instruction>> executions;  ///< in the order of the sequence; empty off the path
    std::vector<std::vector<Operand>> outputs;         ///< [execution][output of the graph]

    std::size_t kept_bytes() const;      ///< slots that outlive an execution: what reuse costs
    std::size_t prologue_bytes() const;  ///< slots of values computed once
    std::size_t scratch_bytes() const;   ///< slots within one execution
    int prologue_slots = 0;              ///< the first so many slots are the prologue's
};

/// Writes a program execution by execution: ahead of time where the schedule says everything, else while
/// running. What a value's slot is follows from the executions before, so each is written once, in order.
class ProgramWriter {
  public:
    /// All must outlive the writer. `index`: which of the analyses that the partition was made for this one
    /// is.
    ProgramWriter(const Extended& extended, const Schedule& schedule, const Analysis& analysis,
                  const Partition& partition, std::size_t index, const std::vector<Segment>& segments);
    ~ProgramWriter();
    ProgramWriter(ProgramWriter&&) noexcept;

    /// The instructions of an execution. After an evaluation's probe, only what that has not run.
    std::vector<Instruction> write(std::size_t execution);
    /// Where the graph's outputs are after it; of a probe, only what the decision looks at.
    std::vector<Operand> outputs(std::size_t execution) const;
    /// With the prologues, and the slots that what was written so far needs; `executions` and `outputs` are
    /// empty.
    const Program& program() const;

  private:
    class State;
    std::unique_ptr<State> state_;
};

/// The program of the analysis' path: of one without modes, of the whole sequence.
Program make_program(const Extended& extended, const Schedule& schedule, const Analysis& analysis,
                     const Partition& partition, std::size_t index, const std::vector<Segment>& segments);

}  // namespace reprise::cachify
