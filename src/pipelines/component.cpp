#include "pipelines/component.h"

#include "io/checkpoint.h"
#include "io/weight_cache.h"

namespace reprise::pipelines {

CompiledGraph::CompiledGraph(const graph::Graph& graph, const Engine& engine)
    : executable_(engine.backend->compile(graph, engine.options)) {
    for (const auto& output : graph.outputs)
        outputs_.emplace_back(graph[output.node].type, graph[output.node].shape);
}

std::vector<Tensor> CompiledGraph::operator()(const std::vector<Tensor>& inputs) const {
    const auto request = executable_->request();
    std::vector<Tensor> outputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) request->bind_input(i, inputs[i]);
    for (const auto& [type, shape] : outputs_) {
        outputs.emplace_back(type, shape);
        request->bind_output(outputs.size() - 1, outputs.back());
    }
    request->run();
    return outputs;
}

std::shared_ptr<const WeightSource> open_weights(const std::filesystem::path& folder,
                                                 const std::string& variant, DType precision) {
    return WeightCache().open(std::make_shared<const Checkpoint>(folder, CheckpointOptions{variant}),
                              precision);
}

}  // namespace reprise::pipelines
