#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "backends/compiled.h"
#include "cachify/plan.h"

namespace reprise::cachify {

/// The compiled segments of a plan, in its order: shared with all plans whose segments have the same content.
using Pieces = std::vector<std::shared_ptr<const backends::Compiled>>;

/// A plan with its compiled segments: immutable, shared by generations.
class Executor {
  public:
    Executor(std::shared_ptr<const Plan> plan, const Pieces& pieces);
    /// Compiles the segments itself.
    Executor(const std::shared_ptr<const Plan>& plan, const backends::Engine& engine);

    const Plan& plan() const { return *plan_; }
    std::unique_ptr<backends::Request> request(std::size_t segment) const {
        return pieces_[segment].request();
    }
    std::size_t num_segments() const { return pieces_.size(); }

  private:
    std::shared_ptr<const Plan> plan_;
    std::vector<backends::Compiled::Use> pieces_;
};

/// One pass through a plan's sequence: owns the slots and the position in it. Used by one thread at a time.
class Generation {
  public:
    /// With `reuse` off the same cut runs in full, in mode 0. A stop is looked at before each segment: then
    /// what runs throws an Error (cancelled).
    explicit Generation(std::shared_ptr<const Executor> executor, bool reuse = true,
                        std::stop_token stop = {});
    ~Generation();
    Generation(Generation&&) noexcept;

    /// Binds a graph input for one branch (fixed inputs: before `begin`; varying ones: before each `run`).
    /// The memory is not copied and must stay as it is until it is bound anew.
    void bind(int branch, std::size_t input, const Tensor& value);
    /// Runs the prologue of each branch.
    void begin();
    /// The next evaluation of a branch, whatever its mode; null at the end.
    const Execution* next() const;
    /// Runs what comes before the choice of the next one's mode; yields what the decision looks at, valid
    /// until `run`. Nothing where the plan has no probe.
    std::vector<Tensor> probe();
    /// Runs the next one in that mode; yields the graph's outputs, valid until the next call. Nothing where
    /// the branch is left out in that mode.
    std::vector<Tensor> run(int mode = 0);
    /// Leaves the next one out. What follows must not read what it would have kept.
    void skip();
    /// Begins again after the prologues, whose values stay.
    void restart();
    /// In the plan's sequence, of what `run` ran last.
    std::size_t position() const { return position_; }
    /// Modules in whose kept values a NaN was seen, with the step.
    const std::vector<std::string>& complaints() const { return complaints_; }

  private:
    void execute(const std::vector<Instruction>& instructions, int branch);
    std::vector<Tensor> execute(std::size_t execution);
    void write_anew();
    void allocate();
    Tensor operand(const Operand& operand, int branch) const;
    void look_for_nan(const RunSegment& run);

    std::shared_ptr<const Executor> executor_;
    std::stop_token stop_;
    const Program* program_;
    const Sequence* sequence_;             ///< that the program is for
    std::optional<ProgramWriter> writer_;  ///< where modes are chosen while running; program_ is then its own
    std::vector<Tensor> slots_;
    std::vector<std::vector<Tensor>> host_;  ///< [branch][graph input]
    std::vector<std::unique_ptr<backends::Request>> requests_;
    std::size_t next_ = 0;  ///< in the sequence
    std::size_t position_ = 0;
    bool probed_ = false;
    std::vector<std::string> complaints_;
};

}  // namespace reprise::cachify
