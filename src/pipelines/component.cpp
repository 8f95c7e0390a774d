#include "pipelines/component.h"

#include <spdlog/spdlog.h>

#include "backends/working_memory.h"
#include "core/finite.h"
#include "files/weight_cache.h"
#include "reprise/error.h"

namespace reprise::pipelines {

CompiledGraph::CompiledGraph(const graph::Graph& graph, const Engine& engine)
    : executable_(engine.backend->compile(graph, engine.options)),
      has_large_scratch_(backends::working_bytes(graph) >= backends::kSmallScratch) {
    for (const auto& output : graph.outputs)
        outputs_.emplace_back(graph[output.node].type, graph[output.node].shape);
}

std::vector<Tensor> CompiledGraph::operator()(const std::vector<Tensor>& inputs) const {
    auto request = executable_->request();
    std::vector<Tensor> outputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) request->bind_input(i, inputs[i]);
    for (const auto& [type, shape] : outputs_) {
        outputs.emplace_back(type, shape);
        request->bind_output(outputs.size() - 1, outputs.back());
    }
    request->run();
    request.reset();
    if (has_large_scratch_) executable_->release_memory();
    return outputs;
}

AutoencoderHalf::AutoencoderHalf(std::string what, std::filesystem::path folder, std::string variant,
                                 Engine engine, Build build)
    : what_(std::move(what)),
      folder_(std::move(folder)),
      variant_(std::move(variant)),
      engine_(std::move(engine)),
      build_(std::move(build)) {}

Tensor AutoencoderHalf::run(const Tensor& input, DType precision) {
    Engine engine = engine_;
    engine.options.precision = precision;
    std::shared_ptr<const WeightSource> weights;
    const auto compiled = compiled_.get({input.shape(), precision}, engine, [&] {
        weights = open_weights(folder_, variant_, precision);
        return build_(input.shape(), precision, weights.get());
    });
    if (weights) weights->release_pages();
    return (*compiled)({input}).front();
}

Tensor AutoencoderHalf::operator()(const Tensor& input) {
    const std::string stage = fmt::format("{} with {}", what_, folder_.string());
    Tensor output = run(input, precision());
    if (is_finite(output)) return output;
    if (precision() != DType::f32) {
        spdlog::warn("{} in {} makes values that are not finite: it is done again in f32", stage,
                     name_of(precision()));
        output = run(input, DType::f32);
    }
    check_finite(output, "what comes of " + stage);
    return output;
}

void check_finite(const Tensor& tensor, std::string_view stage) {
    if (is_finite(tensor)) return;
    failure("{} is not finite: it has {}", stage, has_nan(tensor) ? "NaN" : "infinity");
}

std::shared_ptr<const WeightSource> open_weights(const std::filesystem::path& folder,
                                                 const std::string& variant, DType precision,
                                                 Library library) {
    return WeightCache().open(std::make_shared<const Checkpoint>(folder, CheckpointOptions{variant, library}),
                              precision);
}

}  // namespace reprise::pipelines
