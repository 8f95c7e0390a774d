#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/backend.h"

namespace reprise::testing {

/// The reference backend, with hooks before what it compiles and runs. Hooks are called on the threads that
/// do so, under no lock, and may throw.
class HookedBackend final : public backends::Backend {
  public:
    using Compiling = std::function<void(const graph::Graph&)>;
    using Running = std::function<void(const graph::Graph&)>;

    void set_compiling(Compiling hook) {
        const std::scoped_lock lock(mutex_);
        compiling_ = std::move(hook);
    }
    void set_running(Running hook) {
        const std::scoped_lock lock(mutex_);
        running_ = std::move(hook);
    }

    std::string_view name() const override { return inner_->name(); }
    std::vector<std::string> devices() const override { return inner_->devices(); }
    DType preferred_precision(std::string_view device) const override {
        return inner_->preferred_precision(device);
    }
    void check_precision(std::string_view device, DType precision) const override {
        inner_->check_precision(device, precision);
    }
    backends::Traits traits(std::string_view device) const override { return inner_->traits(device); }
    std::unique_ptr<backends::Queue> queue(const backends::CompileOptions& options) const override {
        return inner_->queue(options);
    }
    /// A byte more than the reference's, which holds nothing in f32.
    backends::Footprint footprint(const graph::Graph& graph) const override {
        backends::Footprint result = inner_->footprint(graph);
        result.bytes += 1;
        return result;
    }
    std::unique_ptr<backends::Executable> compile(const graph::Graph& graph,
                                                  const backends::CompileOptions& options) const override {
        if (const auto hook = get(compiling_)) hook(graph);
        return std::make_unique<Executable>(*this, graph, inner_->compile(graph, options));
    }

  private:
    class Request final : public backends::Request {
      public:
        Request(const HookedBackend& backend, const graph::Graph& graph,
                std::unique_ptr<backends::Request> inner)
            : backend_(backend), graph_(graph), inner_(std::move(inner)) {}
        void run(std::span<const backends::Value* const> inputs,
                 std::span<backends::Value* const> outputs) override {
            if (const auto hook = backend_.get(backend_.running_)) hook(graph_);
            inner_->run(inputs, outputs);
        }

      private:
        const HookedBackend& backend_;
        const graph::Graph& graph_;
        std::unique_ptr<backends::Request> inner_;
    };
    class Executable final : public backends::Executable {
      public:
        Executable(const HookedBackend& backend, graph::Graph graph,
                   std::unique_ptr<backends::Executable> inner)
            : backend_(backend), graph_(std::move(graph)), inner_(std::move(inner)) {}
        std::unique_ptr<backends::Request> request(backends::Queue& queue) const override {
            return std::make_unique<Request>(backend_, graph_, inner_->request(queue));
        }
        void release_memory() const override { inner_->release_memory(); }

      private:
        const HookedBackend& backend_;
        graph::Graph graph_;
        std::unique_ptr<backends::Executable> inner_;
    };

    template <class Hook>
    Hook get(const Hook& hook) const {
        const std::scoped_lock lock(mutex_);
        return hook;
    }

    std::shared_ptr<backends::Backend> inner_ = backends::create("reference");
    mutable std::mutex mutex_;
    Compiling compiling_;
    Running running_;
};

}  // namespace reprise::testing
