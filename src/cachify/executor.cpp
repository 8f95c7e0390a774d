#include "cachify/executor.h"

#include <algorithm>
#include <cmath>

#include "core/finite.h"
#include "core/half.h"
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

Executor::Executor(std::shared_ptr<const Plan> plan, const Pieces& pieces) : plan_(std::move(plan)) {
    for (const auto& piece : pieces) pieces_.emplace_back(piece);
}

Executor::Executor(const std::shared_ptr<const Plan>& plan, const backends::Engine& engine)
    : Executor(plan, compiled(*plan, engine)) {}

Generation::Generation(std::shared_ptr<const Executor> executor, bool reuse, std::stop_token stop)
    : executor_(std::move(executor)),
      stop_(std::move(stop)),
      program_(reuse ? &executor_->plan().program : &executor_->plan().full_program),
      sequence_(reuse ? &executor_->plan().analysis.sequence : &executor_->plan().full_analysis.sequence),
      host_(program_->prologues.size(), std::vector<Tensor>(executor_->plan().extended.graph.inputs.size())) {
    if (reuse && executor_->plan().schedule.num_modes > 1) write_anew();
    allocate();
    for (std::size_t s = 0; s < executor_->num_segments(); ++s) requests_.push_back(executor_->request(s));
}

Generation::~Generation() = default;
Generation::Generation(Generation&&) noexcept = default;

void Generation::bind(int branch, std::size_t input, const Tensor& value) {
    const graph::Graph& graph = executor_->plan().extended.graph;
    const graph::Node& node = graph[graph.inputs.at(input)];
    if (value.shape() != node.shape || value.type() != node.type)
        failure("{}: input '{}' is {} {}, expected {} {}", graph.name, node.attrs<graph::InputAttrs>().name,
                name_of(value.type()), reprise::to_string(value.shape()), name_of(node.type),
                reprise::to_string(node.shape));
    host_.at(static_cast<std::size_t>(branch)).at(input) = value;
}

/// Begins a program that is written while running.
void Generation::write_anew() {
    const Plan& plan = executor_->plan();
    writer_.emplace(plan.extended, plan.schedule, plan.analysis, plan.partition, 0, plan.segments);
    program_ = &writer_->program();
}

/// Memory for slots that there were none of before.
void Generation::allocate() {
    for (std::size_t i = slots_.size(); i < program_->slots.size(); ++i)
        slots_.emplace_back(program_->slots[i].type, program_->slots[i].shape);
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
    allocate();
}

const Execution* Generation::next() const {
    return next_ < sequence_->size() ? &(*sequence_)[next_] : nullptr;
}

std::vector<Tensor> Generation::execute(std::size_t execution) {
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
    std::vector<Tensor> outputs;
    for (const Operand& place : places) outputs.push_back(operand(place, branch));
    return outputs;
}

std::vector<Tensor> Generation::probe() {
    const Execution* now = next();
    if (now == nullptr || now->mode != Execution::kProbe || probed_) return {};
    probed_ = true;
    return execute(next_);
}

std::vector<Tensor> Generation::run(int mode) {
    const Execution* now = next();
    if (now == nullptr)
        failure("{}: asked for more evaluations than its plan has", executor_->plan().extended.graph.name);
    std::size_t execution = next_;
    const std::size_t end = alternatives_end(*sequence_, next_);
    while (execution < end && (*sequence_)[execution].mode != mode) ++execution;
    std::vector<Tensor> outputs;
    if (execution < end) {
        probe();
        outputs = execute(execution);
    }
    next_ = end;
    probed_ = false;
    return outputs;
}

Tensor Generation::operand(const Operand& operand, int branch) const {
    if (operand.from == Operand::From::slot) return slots_[static_cast<std::size_t>(operand.index)];
    const Tensor& value = host_[static_cast<std::size_t>(branch)][static_cast<std::size_t>(operand.index)];
    if (!value.defined()) {
        const graph::Graph& graph = executor_->plan().extended.graph;
        const auto& node = graph[graph.inputs[static_cast<std::size_t>(operand.index)]];
        failure("{}: input '{}' of branch {} was not given", graph.name, node.attrs<graph::InputAttrs>().name,
                branch);
    }
    return value;
}

namespace {

/// target = sum of weight * source, in f32.
void combine(Tensor& target, const std::vector<std::pair<Tensor, float>>& terms) {
    const auto count = static_cast<std::size_t>(target.count());
    std::vector<float> sum(count, 0.0F);
    for (const auto& [source, weight] : terms) {
        const Tensor values = source.to(DType::f32);
        const auto span = values.span<float>();
        for (std::size_t i = 0; i < count; ++i) sum[i] += weight * span[i];
    }
    switch (target.type()) {
        case DType::f32:
            std::copy(sum.begin(), sum.end(), target.span<float>().begin());
            break;
        case DType::bf16:
            convert_to_bf16(sum, target.span<std::uint16_t>());
            break;
        case DType::f16:
            convert_to_f16(sum, target.span<std::uint16_t>());
            break;
        default:
            failure("cannot combine values of {}", name_of(target.type()));
    }
}

#ifndef NDEBUG
std::size_t hash_of(const Tensor& tensor) {
    return std::hash<std::string_view>{}({static_cast<const char*>(tensor.data()), tensor.bytes()});
}
#endif

}  // namespace

void Generation::execute(const std::vector<Instruction>& instructions, int branch) {
    for (const Instruction& instruction : instructions) {
        if (const auto* sum = std::get_if<Combine>(&instruction)) {
            std::vector<std::pair<Tensor, float>> terms;
            for (const auto& term : sum->terms)
                terms.emplace_back(slots_[static_cast<std::size_t>(term.slot)], term.weight);
            combine(slots_[static_cast<std::size_t>(sum->slot)], terms);
            continue;
        }
        if (stop_.stop_requested()) throw Error(ErrorKind::cancelled, "stopped");
        const auto& run = std::get<RunSegment>(instruction);
        backends::Request& request = *requests_[static_cast<std::size_t>(run.segment)];
        for (std::size_t i = 0; i < run.inputs.size(); ++i)
            request.bind_input(i, operand(run.inputs[i], branch));
        for (std::size_t i = 0; i < run.outputs.size(); ++i)
            request.bind_output(i, slots_[static_cast<std::size_t>(run.outputs[i])]);
#ifndef NDEBUG  // a run writes its outputs and nothing else
        std::vector<std::size_t> before;
        for (const Tensor& slot : slots_) before.push_back(hash_of(slot));
#endif
        request.run();
#ifndef NDEBUG
        for (std::size_t i = 0; i < slots_.size(); ++i)
            if (hash_of(slots_[i]) != before[i] &&
                std::find(run.outputs.begin(), run.outputs.end(), static_cast<int>(i)) == run.outputs.end())
                failure("{}: running segment {} changed slot {}", executor_->plan().extended.graph.name,
                        run.segment, i);
#endif
        look_for_nan(run);
    }
}

void Generation::look_for_nan(const RunSegment& run) {
    if (!complaints_.empty()) return;  // one is enough: NaN spreads
    for (const int index : run.outputs) {
        const Slot& slot = program_->slots[static_cast<std::size_t>(index)];
        if (slot.branch < 0 || !has_nan(slots_[static_cast<std::size_t>(index)])) continue;
        const Plan& plan = executor_->plan();
        const auto& node = plan.extended.graph[slot.node];
        const auto& module = plan.extended.graph.modules[static_cast<std::size_t>(node.module)].name;
        const int step = (*sequence_)[position_].step;
        complaints_.push_back(fmt::format("NaN in what '{}' keeps at step {}", module, step));
        return;
    }
}

}  // namespace reprise::cachify
