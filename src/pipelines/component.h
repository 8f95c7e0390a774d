#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/compiled.h"
#include "backends/store.h"
#include "files/model_source.h"
#include "graph/graph.h"
#include "pipelines/caller.h"

namespace reprise::pipelines {

using backends::Engine;

/// A part of a model that runs by itself, without reuse: a text encoder, an image encoder, a half of an
/// autoencoder. It is compiled when first needed, for each shape that it runs at; how long that is held is
/// the store's to say. Its weights are opened once in each precision, when they are first needed.
/// Thread-safe.
class Component {
  public:
    struct Options {
        /// What it does, for messages: "decoding". Empty: it is called by its name.
        std::string does = {};
        /// Computes again in f32, with a warning, what is not finite in 16 bits.
        bool again_in_f32 = false;
        /// Bytes that may stay compiled between calls; none: all that the store allows.
        std::optional<std::int64_t> memory_limit = {};
    };
    /// The engine's precision is the component's own.
    Component(std::shared_ptr<const ModelSource> source, std::string name, Engine engine, Options options);

    /// One of the graphs that the component has: all of it at a shape, or a part of its layers.
    struct Piece {
        std::string key;  ///< names it among the component's
        std::function<graph::Graph(DType precision, const WeightSource& weights)> build;
    };
    /// The outputs for these inputs. Error (failure) that names the component when they are not finite.
    std::vector<Tensor> operator()(const Piece& piece, const std::vector<Tensor>& inputs,
                                   const Caller& caller) const;
    /// The same for several inputs, of a component in parts: each runs for all inputs before the next, of
    /// which the first input is its first output. More than one are freed as soon as they have run, so that
    /// one at a time takes memory.
    std::vector<std::vector<Tensor>> operator()(const std::vector<Piece>& parts,
                                                std::vector<std::vector<Tensor>> inputs,
                                                const Caller& caller) const;

    /// Frees what is compiled and in no use, if that is more than may stay.
    void release_large() const { store_.drop_beyond(options_.memory_limit); }
    DType precision() const { return engine_.options.precision; }
    /// In the component's precision.
    std::shared_ptr<const WeightSource> weights() const { return weights(precision()); }
    const std::string& name() const { return name_; }
    /// What to call it in messages: its folder.
    std::string where() const { return source_->where(name_); }

  private:
    std::shared_ptr<const WeightSource> weights(DType precision) const;
    std::shared_ptr<const backends::Compiled> compiled(const Piece& piece, DType precision,
                                                       const Caller& caller) const;
    std::vector<std::vector<Tensor>> run(const std::vector<Piece>& parts,
                                         std::vector<std::vector<Tensor>> inputs, DType precision,
                                         const Caller& caller) const;
    std::string stage() const;

    std::shared_ptr<const ModelSource> source_;
    std::string name_;
    Engine engine_;
    Options options_;
    mutable backends::Store::Share store_;
    /// Behind a pointer, so that components can be moved.
    struct Opened {
        std::mutex mutex;
        std::map<DType, std::shared_ptr<const WeightSource>> weights;
    };
    std::unique_ptr<Opened> opened_ = std::make_unique<Opened>();
};

/// Error (failure) that names the stage unless all values are finite.
void check_finite(const Tensor& tensor, std::string_view stage);

/// Usage error unless the source has the component, which is needed to encode prompts.
void need_for_prompts(const ModelSource& source, std::string_view name);

}  // namespace reprise::pipelines
