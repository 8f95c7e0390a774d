#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/compiled.h"
#include "backends/store.h"
#include "core/weight_source.h"
#include "files/checkpoint.h"
#include "graph/graph.h"
#include "pipelines/caller.h"

namespace reprise::pipelines {

using backends::Engine;

/// A component's compiled graphs, which run by themselves, without reuse. How long each is held is the
/// store's to say. Thread-safe.
class CompiledGraphs {
  public:
    /// A graph, and the weights that it was made from.
    struct Built {
        graph::Graph graph;
        std::shared_ptr<const WeightSource> weights;
    };
    /// The one of a key; `build` is called where it has to be compiled.
    std::shared_ptr<const backends::Compiled> get(const std::string& key, const Engine& engine,
                                                  const std::function<Built()>& build,
                                                  const Caller& caller) const;
    /// Frees what is in no use.
    void release() const { store_.drop_idle(); }
    /// The same where one has more parameters.
    void release_larger_than(std::int64_t parameters) const {
        if (*parameters_ > parameters) release();
    }

  private:
    std::unique_ptr<std::atomic<std::int64_t>> parameters_ =
        std::make_unique<std::atomic<std::int64_t>>(0);  ///< the most that one has
    mutable backends::Store::Share store_;
};

/// A half of a folder's autoencoder, compiled when first needed, by the shape of its input. What comes out of
/// 16 bits with values that are not finite is computed again in f32, with a warning. Thread-safe.
class AutoencoderHalf {
  public:
    /// Of the graph for an input of that shape, in that precision.
    using Build =
        std::function<graph::Graph(const Shape& input, DType precision, const WeightSource* weights)>;
    /// `what` is done, for messages: "decoding".
    AutoencoderHalf(std::string what, std::filesystem::path folder, std::string variant, Engine engine,
                    Build build);

    /// Its output, f32, finite. Error (failure) where it is not in f32 either.
    Tensor operator()(const Tensor& input, const Caller& caller = {}) const;
    void release_larger_than(std::int64_t parameters) const { compiled_.release_larger_than(parameters); }
    DType precision() const { return engine_.options.precision; }

  private:
    Tensor run(const Tensor& input, DType precision, const Caller& caller) const;

    std::string what_;
    std::filesystem::path folder_;
    std::string variant_;
    Engine engine_;
    Build build_;
    CompiledGraphs compiled_;
};

/// Error (failure) that names the stage unless all values are finite.
void check_finite(const Tensor& tensor, std::string_view stage);

/// The weights of a component folder in a precision, mapped (through the cache where they have to be
/// converted). `library`: whose class the component is.
std::shared_ptr<const WeightSource> open_weights(const std::filesystem::path& folder,
                                                 const std::string& variant, DType precision,
                                                 Library library = Library::diffusers);

}  // namespace reprise::pipelines
