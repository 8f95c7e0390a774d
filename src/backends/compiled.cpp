#include "backends/compiled.h"

#include <spdlog/spdlog.h>

#include "backends/working_memory.h"

namespace reprise::backends {

Compiled::Compiled(const graph::Graph& graph, const Engine& engine)
    : engine_(engine),
      executable_(engine.backend->compile(graph, engine.options)),
      has_large_scratch_(working_bytes(graph) >= engine.traits().kept_scratch_bytes) {
    for (const auto& output : graph.outputs)
        outputs_.emplace_back(graph[output.node].type, graph[output.node].shape);
}

void Compiled::enter() const {
    const std::scoped_lock lock(mutex_);
    ++users_;
}

void Compiled::leave() const noexcept {
    try {
        const std::scoped_lock lock(mutex_);
        if (--users_ == 0 && has_large_scratch_) executable_->release_memory();
    } catch (const std::exception& error) {  // it stays held until the compiled graph is freed
        spdlog::debug("scratch memory was not freed: {}", error.what());
    }
}

Compiled::Use::Use(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {
    compiled_->enter();
}

Compiled::Use::~Use() {
    if (compiled_) compiled_->leave();
}

std::vector<Tensor> Compiled::run(const std::shared_ptr<const Compiled>& compiled,
                                  const std::vector<Tensor>& inputs) {
    const Use use(compiled);
    std::unique_ptr<Request> request;  // gone before `use`, after the queue
    const auto queue = compiled->engine_.queue();
    request = use.request(*queue);
    std::vector<Value> values, results(compiled->outputs().size());
    for (const Tensor& input : inputs) values.push_back(queue->from_host(input));
    std::vector<const Value*> from;
    std::vector<Value*> to;
    for (const Value& value : values) from.push_back(&value);
    for (Value& result : results) to.push_back(&result);
    request->run(from, to);
    std::vector<Tensor> outputs;
    for (const Value& result : results) outputs.push_back(queue->to_host(result));
    return outputs;
}

Store::Order<Compiled> order_of(std::shared_ptr<const graph::Graph> graph,
                                std::shared_ptr<const WeightSource> weights, const Engine& engine) {
    const Footprint footprint = engine.backend->footprint(*graph);
    return {footprint,
            [graph = std::move(graph), weights = std::move(weights), engine] {
                auto made = std::make_shared<const Compiled>(*graph, engine);
                weights->release_pages();
                return made;
            },
            engine.traits().compiles_at_once};
}

}  // namespace reprise::backends
