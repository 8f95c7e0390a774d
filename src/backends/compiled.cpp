#include "backends/compiled.h"

#include <spdlog/spdlog.h>

#include "backends/working_memory.h"

namespace reprise::backends {

Compiled::Compiled(const graph::Graph& graph, const Engine& engine)
    : executable_(engine.backend->compile(graph, engine.options)),
      has_large_scratch_(working_bytes(graph) >= kSmallScratch) {
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
    const auto request = use.request();  // gone before `use`
    std::vector<Tensor> outputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) request->bind_input(i, inputs[i]);
    for (const auto& [type, shape] : compiled->outputs()) {
        outputs.emplace_back(type, shape);
        request->bind_output(outputs.size() - 1, outputs.back());
    }
    request->run();
    return outputs;
}

}  // namespace reprise::backends
