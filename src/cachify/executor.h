#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "backends/backend.h"
#include "cachify/plan.h"

namespace reprise::cachify {

/// The segments of a cut, compiled: immutable, shared by all plans with that cut, by generations and threads.
class Pieces {
  public:
    /// Compiles segments side by side. `progress` is told, on this thread, how many of how many are done.
    Pieces(const Plan& plan, const backends::Backend& backend, const backends::CompileOptions& options,
           const std::function<void(std::size_t, std::size_t)>& progress = {});
    static backends::Footprint footprint(const Plan& plan, const backends::Backend& backend);

    const backends::Executable& operator[](std::size_t segment) const { return *executables_[segment]; }
    std::size_t size() const { return executables_.size(); }

  private:
    friend class Executor;
    void enter() const;
    void leave() const;

    std::vector<std::unique_ptr<const backends::Executable>> executables_;
    std::vector<bool> has_large_scratch_;
    mutable std::mutex mutex_;  ///< guards `users_`, and that nobody begins while scratch memory is freed
    mutable int users_ = 0;
};

/// A plan with its compiled pieces: immutable, shared by generations. When the last executor of some pieces
/// goes, so does the engine's scratch memory where it is large.
class Executor {
  public:
    /// `pieces` are of a plan with the same cut.
    Executor(std::shared_ptr<const Plan> plan, std::shared_ptr<const Pieces> pieces);
    /// Over pieces of its own.
    Executor(const std::shared_ptr<const Plan>& plan, const backends::Backend& backend,
             const backends::CompileOptions& options)
        : Executor(plan, std::make_shared<const Pieces>(*plan, backend, options)) {}
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;
    ~Executor();

    const Plan& plan() const { return *plan_; }
    const Pieces& pieces() const { return *pieces_; }

  private:
    std::shared_ptr<const Plan> plan_;
    std::shared_ptr<const Pieces> pieces_;
};

/// One pass through a plan's sequence: owns the slots and the position in it. Used by one thread at a time.
class Generation {
  public:
    /// With `reuse` off the same cut runs in full, in mode 0.
    explicit Generation(std::shared_ptr<const Executor> executor, bool reuse = true);
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
