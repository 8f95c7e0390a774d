#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "backends/engine.h"
#include "backends/store.h"
#include "core/weight_source.h"
#include "graph/graph.h"

namespace reprise::backends {

/// A compiled graph that several callers share: immutable but for its scratch memory, which is freed when
/// the last of those who use it leaves, where it is large. Thread-safe.
class Compiled {
  public:
    Compiled(const graph::Graph& graph, const Engine& engine);

    /// Types and shapes of the graph's outputs.
    const std::vector<std::pair<DType, Shape>>& outputs() const { return outputs_; }

    /// A caller's use of a compiled graph, from its first request to the end of its last.
    class Use {
      public:
        explicit Use(std::shared_ptr<const Compiled> compiled);
        ~Use();
        Use(Use&&) noexcept = default;
        Use& operator=(Use&&) = delete;

        std::unique_ptr<Request> request(Queue& queue) const {
            return compiled_->executable_->request(queue);
        }
        const Compiled& compiled() const { return *compiled_; }

      private:
        std::shared_ptr<const Compiled> compiled_;
    };

    /// Runs once; the outputs are tensors of their own.
    static std::vector<Tensor> run(const std::shared_ptr<const Compiled>& compiled,
                                   const std::vector<Tensor>& inputs);

  private:
    void enter() const;
    void leave() const noexcept;

    Engine engine_;
    std::vector<std::pair<DType, Shape>> outputs_;
    std::unique_ptr<const Executable> executable_;
    bool has_large_scratch_ = false;
    mutable std::mutex mutex_;  ///< guards `users_`, and that nobody begins while scratch memory is freed
    mutable int users_ = 0;
};

/// Has the store compile a graph. What was read of its weights' files meanwhile is let go.
Store::Order<Compiled> order_of(std::shared_ptr<const graph::Graph> graph,
                                std::shared_ptr<const WeightSource> weights, const Engine& engine);

}  // namespace reprise::backends
