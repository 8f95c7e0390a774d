#include "cachify/executor.h"

#include <algorithm>

#include "reprise/error.h"

namespace reprise::cachify {

namespace {

Pieces compiled(const Plan& plan, const backends::Engine& engine) {
    Pieces pieces;
    for (const Segment& segment : plan.segments)
        pieces.push_back(std::make_shared<const backends::Compiled>(segment.graph, engine));
    return pieces;
}

}  // namespace

Executor::Executor(std::shared_ptr<const Plan> plan, const Pieces& pieces, backends::Engine engine)
    : plan_(std::move(plan)), engine_(std::move(engine)) {
    for (const auto& piece : pieces) pieces_.emplace_back(piece);
}

Executor::Executor(const std::shared_ptr<const Plan>& plan, const backends::Engine& engine)
    : Executor(plan, compiled(*plan, engine), engine) {}

Workspace::Workspace(std::shared_ptr<const Executor> executor, std::shared_ptr<backends::Queue> queue)
    : executor_(std::move(executor)),
      is_on_host_(executor_->engine().traits().host_memory),
      queue_(queue ? std::move(queue) : executor_->engine().queue()) {
    for (const auto& piece : executor_->pieces()) requests_.push_back(piece.request(*queue_));
}

Workspace::~Workspace() {
    if (queue_.use_count() == 1) return;  // it waits when it goes, before the requests
    try {
        queue_->wait();
        // NOLINTNEXTLINE(bugprone-empty-catch)
    } catch (...) {  // said by who waited before, or by nobody: the run ends by another error
    }
}

backends::Value& Workspace::scratch(const Slot& slot, std::size_t index) {
    auto& values = scratch_[{slot.type, slot.shape}];
    while (values.size() <= index) values.emplace_back();
    return values[index];
}

Generation::Generation(std::shared_ptr<Workspace> workspace, bool reuse, std::stop_token stop)
    : workspace_(std::move(workspace)),
      stop_(std::move(stop)),
      program_(reuse ? &workspace_->plan().program : &workspace_->plan().full_program),
      sequence_(reuse ? &workspace_->plan().analysis.sequence : &workspace_->plan().full_analysis.sequence),
      host_(program_->prologues.size(),
            std::vector<backends::Value>(workspace_->plan().extended.graph.inputs.size())) {
    if (reuse && workspace_->plan().schedule.num_modes > 1) write_anew();
    allocate();
}

Generation::~Generation() = default;
Generation::Generation(Generation&&) noexcept = default;

void Generation::bind(int branch, std::size_t input, const Tensor& value) {
    const graph::Graph& graph = workspace_->plan().extended.graph;
    const graph::Node& node = graph[graph.inputs.at(input)];
    if (value.shape() != node.shape || value.type() != node.type)
        failure("{}: input '{}' is {} {}, expected {} {}", graph.name, node.attrs<graph::InputAttrs>().name,
                name_of(value.type()), reprise::to_string(value.shape()), name_of(node.type),
                reprise::to_string(node.shape));
    host_.at(static_cast<std::size_t>(branch)).at(input) = workspace_->queue().from_host(value);
}

/// Begins a program that is written while running.
void Generation::write_anew() {
    const Plan& plan = workspace_->plan();
    writer_.emplace(plan.extended, plan.schedule, plan.analysis, plan.partition, 0, plan.segments);
    program_ = &writer_->program();
}

/// Places for slots that there were none of before.
void Generation::allocate() {
    for (std::size_t i = slots_.size(); i < program_->slots.size(); ++i) {
        const Slot& slot = program_->slots[i];
        if (slot.branch < 0)
            slots_.push_back(&workspace_->scratch(slot, scratch_slots_[{slot.type, slot.shape}]++));
        else
            slots_.push_back(&own_.emplace_back());
    }
}

void Generation::begin() {
    next_ = position_ = 0;
    for (std::size_t branch = 0; branch < program_->prologues.size(); ++branch)
        execute(program_->prologues[branch], static_cast<int>(branch));
}

void Generation::skip() {
    next_ = alternatives_end(*sequence_, next_);
    probed_ = false;
}

void Generation::restart() {
    next_ = position_ = 0;
    probed_ = false;
    if (!writer_) return;
    write_anew();
    slots_.resize(static_cast<std::size_t>(program_->prologue_slots));
    own_.resize(slots_.size());
    scratch_slots_.clear();
    allocate();
}

const Execution* Generation::next() const {
    return next_ < sequence_->size() ? &(*sequence_)[next_] : nullptr;
}

std::vector<backends::Value> Generation::execute(std::size_t execution) {
    position_ = execution;
    const int branch = (*sequence_)[execution].branch;
    std::vector<Operand> places;
    if (writer_) {
        const auto instructions = writer_->write(execution);
        allocate();
        execute(instructions, branch);
        places = writer_->outputs(execution);
    } else {
        execute(program_->executions[execution], branch);
        places = program_->outputs[execution];
    }
    std::vector<backends::Value> outputs;
    for (const Operand& place : places) outputs.push_back(operand(place, branch));
    return outputs;
}

std::vector<backends::Value> Generation::probe() {
    const Execution* now = next();
    if (now == nullptr || now->mode != Execution::kProbe || probed_) return {};
    probed_ = true;
    return execute(next_);
}

std::vector<backends::Value> Generation::run(int mode) {
    const Execution* now = next();
    if (now == nullptr)
        failure("{}: asked for more evaluations than its plan has", workspace_->plan().extended.graph.name);
    std::size_t execution = next_;
    const std::size_t end = alternatives_end(*sequence_, next_);
    while (execution < end && (*sequence_)[execution].mode != mode) ++execution;
    std::vector<backends::Value> outputs;
    if (execution < end) {
        probe();
        outputs = execute(execution);
    }
    next_ = end;
    probed_ = false;
    return outputs;
}

std::vector<Tensor> Generation::to_host(const std::vector<backends::Value>& values) {
    std::vector<Tensor> tensors;
    for (const auto& value : values) tensors.push_back(workspace_->queue().to_host(value));
    return tensors;
}

const backends::Value& Generation::operand(const Operand& operand, int branch) {
    if (operand.from == Operand::From::slot) return slot(operand.index);
    const auto& value = host_[static_cast<std::size_t>(branch)][static_cast<std::size_t>(operand.index)];
    if (!value.defined()) {
        const graph::Graph& graph = workspace_->plan().extended.graph;
        const auto& node = graph[graph.inputs[static_cast<std::size_t>(operand.index)]];
        failure("{}: input '{}' of branch {} was not given", graph.name, node.attrs<graph::InputAttrs>().name,
                branch);
    }
    return value;
}

void Generation::combine(const Combine& sum) {
    std::vector<backends::Queue::Term> terms;
    for (const auto& term : sum.terms) terms.push_back({&slot(term.slot), term.weight});
    workspace_->queue().combine(slot(sum.slot), terms);
}

#ifndef NDEBUG
namespace {

std::size_t hash_of(const backends::Value& value) {
    if (!value.is_on_host()) return 0;
    return std::hash<std::string_view>{}({static_cast<const char*>(value.host().data()), value.bytes()});
}

}  // namespace
#endif

void Generation::execute(const std::vector<Instruction>& instructions, int branch) {
    for (const Instruction& instruction : instructions) {
        if (const auto* sum = std::get_if<Combine>(&instruction)) {
            combine(*sum);
            continue;
        }
        if (stop_.stop_requested()) throw Error(ErrorKind::cancelled, "stopped");
        const auto& run = std::get<RunSegment>(instruction);
#ifndef NDEBUG  // a run writes its outputs and nothing else
        std::vector<std::size_t> before;
        for (const backends::Value* value : slots_) before.push_back(hash_of(*value));
#endif
        execute(run, branch);
#ifndef NDEBUG
        for (std::size_t i = 0; i < slots_.size(); ++i)
            if (hash_of(*slots_[i]) != before[i] &&
                std::find(run.outputs.begin(), run.outputs.end(), static_cast<int>(i)) == run.outputs.end())
                failure("{}: running segment {} changed slot {}", workspace_->plan().extended.graph.name,
                        run.segment, i);
#endif
        look_for_nan(run);
    }
}

void Generation::execute(const RunSegment& run, int branch) {
    std::vector<const backends::Value*> inputs;
    for (const Operand& input : run.inputs) inputs.push_back(&operand(input, branch));
    std::vector<backends::Value*> outputs;
    for (const int output : run.outputs) outputs.push_back(&slot(output));
    workspace_->request(run.segment).run(inputs, outputs);
}

/// Where that costs no waiting.
void Generation::look_for_nan(const RunSegment& run) {
    if (!workspace_->is_on_host() || !complaints_.empty()) return;  // one is enough: NaN spreads
    for (const int index : run.outputs) {
        const Slot& place = program_->slots[static_cast<std::size_t>(index)];
        if (place.branch < 0 || !workspace_->queue().has_nan(slot(index))) continue;
        const Plan& plan = workspace_->plan();
        const auto& node = plan.extended.graph[place.node];
        const auto& module = plan.extended.graph.modules[static_cast<std::size_t>(node.module)].name;
        const int step = (*sequence_)[position_].step;
        complaints_.push_back(fmt::format("NaN in what '{}' keeps at step {}", module, step));
        return;
    }
}

}  // namespace reprise::cachify
