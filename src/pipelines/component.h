#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "backends/backend.h"
#include "core/weight_source.h"
#include "graph/graph.h"
#include "pipelines/guided_denoiser.h"

namespace reprise::pipelines {

/// A compiled graph that is run by itself, without reuse.
class CompiledGraph {
  public:
    CompiledGraph(const graph::Graph& graph, const Engine& engine);
    /// The graph's outputs for inputs in its order; tensors of their own.
    std::vector<Tensor> operator()(const std::vector<Tensor>& inputs) const;

  private:
    std::vector<std::pair<DType, Shape>> outputs_;
    std::unique_ptr<backends::Executable> executable_;
};

/// The weights of a component folder in a precision, mapped (through the cache where they have to be
/// converted).
std::shared_ptr<const WeightSource> open_weights(const std::filesystem::path& folder,
                                                 const std::string& variant, DType precision);

}  // namespace reprise::pipelines
