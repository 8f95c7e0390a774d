#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/engine.h"
#include "backends/store.h"
#include "core/weight_source.h"
#include "files/checkpoint.h"
#include "graph/graph.h"

namespace reprise::pipelines {

using backends::Engine;

/// A compiled graph that is run by itself, without reuse.
class CompiledGraph {
  public:
    CompiledGraph(const graph::Graph& graph, const Engine& engine);
    /// The graph's outputs for inputs in its order; tensors of their own. Not thread-safe: scratch memory is
    /// freed afterwards, where it is large.
    std::vector<Tensor> operator()(const std::vector<Tensor>& inputs) const;

  private:
    std::vector<std::pair<DType, Shape>> outputs_;
    std::unique_ptr<backends::Executable> executable_;
    bool has_large_scratch_ = false;
};

/// A component's compiled graphs, by what they were compiled for. How long each is held is the store's to
/// say.
template <class Key>
class CompiledGraphs {
  public:
    /// The one for a key. `make` makes its graph where it has to be compiled.
    template <class Make>
    std::shared_ptr<const CompiledGraph> get(const Key& key, const Engine& engine, const Make& make) {
        std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
        for (const auto& [known, compiled] : known_) {
            if (!(known == key)) continue;
            auto held = compiled.lock();
            if (!held) break;
            store_.use(held);
            return held;
        }
        const graph::Graph graph = make();
        const auto compiled = store_.keep<CompiledGraph>(engine.backend->footprint(graph), [&] {
            return std::make_shared<const CompiledGraph>(graph, engine);
        });
        known_.emplace_back(key, compiled);
        return compiled;
    }
    /// Frees them.
    void clear() {
        store_.clear();
        known_.clear();
    }

  private:
    std::vector<std::pair<Key, std::weak_ptr<const CompiledGraph>>> known_;
    backends::Store::Share store_;
};

/// A half of a folder's autoencoder, compiled when first needed, by the shape of its input. What comes out of
/// 16 bits with values that are not finite is computed again in f32, with a warning. Not thread-safe.
class AutoencoderHalf {
  public:
    /// Of the graph for an input of that shape, in that precision.
    using Build =
        std::function<graph::Graph(const Shape& input, DType precision, const WeightSource* weights)>;
    /// `what` is done, for messages: "decoding".
    AutoencoderHalf(std::string what, std::filesystem::path folder, std::string variant, Engine engine,
                    Build build);

    /// Its output, f32, finite. Error (failure) where it is not in f32 either.
    Tensor operator()(const Tensor& input);
    void clear() { compiled_.clear(); }
    DType precision() const { return engine_.options.precision; }

  private:
    Tensor run(const Tensor& input, DType precision);

    std::string what_;
    std::filesystem::path folder_;
    std::string variant_;
    Engine engine_;
    Build build_;
    CompiledGraphs<std::pair<Shape, DType>> compiled_;
};

/// Error (failure) that names the stage unless all values are finite.
void check_finite(const Tensor& tensor, std::string_view stage);

/// The weights of a component folder in a precision, mapped (through the cache where they have to be
/// converted). `library`: whose class the component is.
std::shared_ptr<const WeightSource> open_weights(const std::filesystem::path& folder,
                                                 const std::string& variant, DType precision,
                                                 Library library = Library::diffusers);

}  // namespace reprise::pipelines
