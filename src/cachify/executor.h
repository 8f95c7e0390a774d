#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "backends/compiled.h"
#include "cachify/plan.h"

namespace reprise::cachify {

/// The compiled segments of a plan, in its order: shared with all plans whose segments have the same content.
using Pieces = std::vector<std::shared_ptr<const backends::Compiled>>;

/// A plan with its compiled segments: immutable, shared by generations.
class Executor {
  public:
    /// `pieces` were compiled by that engine.
    Executor(std::shared_ptr<const Plan> plan, const Pieces& pieces, backends::Engine engine);
    /// Compiles the segments itself.
    Executor(const std::shared_ptr<const Plan>& plan, const backends::Engine& engine);

    const Plan& plan() const { return *plan_; }
    const backends::Engine& engine() const { return engine_; }
    const std::vector<backends::Compiled::Use>& pieces() const { return pieces_; }

  private:
    std::shared_ptr<const Plan> plan_;
    backends::Engine engine_;
    std::vector<backends::Compiled::Use> pieces_;
};

/// What the pictures of one run share: a queue, a request for each segment, and the memory of values that end
/// with an execution. Used by one thread at a time.
class Workspace {
  public:
    /// Works in that queue, of the executor's engine, which other workspaces may share; or in its own.
    explicit Workspace(std::shared_ptr<const Executor> executor,
                       std::shared_ptr<backends::Queue> queue = nullptr);
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    ~Workspace();  ///< waits for what is still to be done

    const Plan& plan() const { return executor_->plan(); }
    backends::Queue& queue() { return *queue_; }
    backends::Request& request(int segment) { return *requests_[static_cast<std::size_t>(segment)]; }
    /// Whether values are tensors of the host's.
    bool is_on_host() const { return is_on_host_; }

    /// The memory of a slot's value, by how many of its type and shape come before it in its program.
    backends::Value& scratch(const Slot& slot, std::size_t index);

  private:
    std::shared_ptr<const Executor> executor_;
    bool is_on_host_;
    std::map<std::pair<DType, Shape>, std::deque<backends::Value>> scratch_;
    std::vector<std::unique_ptr<backends::Request>> requests_;
    std::shared_ptr<backends::Queue> queue_;
};

/// One pass through a plan's sequence, for one picture: owns the values that outlive an execution, and the
/// position. Values of an execution's end with the next one of any picture. Used by the thread of its
/// workspace.
class Generation {
  public:
    /// With `reuse` off the same cut runs in full, in mode 0. A stop is looked at before each segment: then
    /// what runs throws an Error (cancelled).
    explicit Generation(std::shared_ptr<Workspace> workspace, bool reuse = true, std::stop_token stop = {});
    /// With a workspace of its own.
    explicit Generation(std::shared_ptr<const Executor> executor, bool reuse = true,
                        std::stop_token stop = {})
        : Generation(std::make_shared<Workspace>(std::move(executor)), reuse, std::move(stop)) {}
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
    std::vector<backends::Value> probe();
    /// Runs the next one in that mode; yields the graph's outputs, valid until the next call. Nothing where
    /// the branch is left out in that mode.
    std::vector<backends::Value> run(int mode = 0);
    /// What these hold. Waits.
    std::vector<Tensor> to_host(const std::vector<backends::Value>& values);
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
    std::vector<backends::Value> execute(std::size_t execution);
    void execute(const RunSegment& run, int branch);
    void combine(const Combine& sum);
    void write_anew();
    void allocate();
    backends::Value& slot(int index) { return *slots_[static_cast<std::size_t>(index)]; }
    const backends::Value& operand(const Operand& operand, int branch);
    void look_for_nan(const RunSegment& run);

    std::shared_ptr<Workspace> workspace_;
    std::stop_token stop_;
    const Program* program_;
    const Sequence* sequence_;             ///< that the program is for
    std::optional<ProgramWriter> writer_;  ///< where modes are chosen while running; program_ is then its own
    std::deque<backends::Value> own_;      ///< values that outlive an execution
    std::vector<backends::Value*> slots_;  ///< of these, or of the workspace's
    std::map<std::pair<DType, Shape>, std::size_t> scratch_slots_;
    std::vector<std::vector<backends::Value>> host_;  ///< [branch][graph input]
    std::size_t next_ = 0;                            ///< in the sequence
    std::size_t position_ = 0;
    bool probed_ = false;
    std::vector<std::string> complaints_;
};

}  // namespace reprise::cachify
