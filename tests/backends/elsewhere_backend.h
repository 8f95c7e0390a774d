#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "backends/binding.h"
#include "backends/host_queue.h"
#include "reprise/error.h"

namespace reprise::testing {

/// What an accelerator may do and a CPU does not, with the reference backend's arithmetic: values are in
/// memory of its own, with channels last; each run's results are in new memory; and a queue begins nothing
/// before somebody waits, on a thread of its own. Bit for bit the same results.
class ElsewhereBackend final : public backends::Backend {
  public:
    std::string_view name() const override { return "elsewhere"; }
    std::vector<std::string> devices() const override { return inner_->devices(); }
    DType preferred_precision(std::string_view device) const override {
        return inner_->preferred_precision(device);
    }
    void check_precision(std::string_view device, DType precision) const override {
        inner_->check_precision(device, precision);
    }
    backends::Traits traits(std::string_view device) const override {
        backends::Traits traits = inner_->traits(device);
        traits.host_memory = false;
        traits.pieces.shares_weights = true;
        traits.pieces.launch_flops = 1e6;
        return traits;
    }
    backends::Footprint footprint(const graph::Graph& graph) const override {
        return inner_->footprint(graph);
    }
    std::unique_ptr<backends::Queue> queue(const backends::CompileOptions& /*options*/) const override {
        return std::make_unique<Queue>(inner_, most_waits_);
    }
    std::unique_ptr<backends::Executable> compile(const graph::Graph& graph,
                                                  const backends::CompileOptions& options) const override {
        return std::make_unique<Executable>(graph, inner_->compile(graph, options));
    }

    /// The most often that one queue was waited for.
    int most_waits() const { return *most_waits_; }

  private:
    /// Written once, by the thread of the queue that made it.
    struct Memory final : backends::Value::Memory {
        explicit Memory(const void* owner) : queue(owner) {}
        const void* queue;
        Tensor elements;  ///< channels last; undefined until they are there
    };
    using Place = std::shared_ptr<Memory>;

    static Shape strides_of(const Shape& shape) {
        Shape strides(shape.size(), 1);
        for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
        return strides;
    }
    /// Elements in another order: dimension d of the result is dimension order[d].
    static Tensor transposed(const Tensor& from, const std::vector<std::size_t>& order) {
        Shape shape, strides;
        const Shape own = strides_of(from.shape());
        for (const std::size_t d : order) {
            shape.push_back(from.shape()[d]);
            strides.push_back(own[d]);
        }
        Tensor result(from.type(), shape);
        const std::size_t size = size_of(from.type());
        const auto* source = static_cast<const std::byte*>(from.data());
        auto* target = static_cast<std::byte*>(result.data());
        Shape at(shape.size(), 0);
        std::int64_t place = 0;
        for (std::int64_t i = 0; i < result.count(); ++i) {
            std::memcpy(target + static_cast<std::size_t>(i) * size,
                        source + static_cast<std::size_t>(place) * size, size);
            for (std::size_t d = shape.size(); d-- > 0;) {
                place += strides[d];
                if (++at[d] < shape[d]) break;
                place -= strides[d] * shape[d];
                at[d] = 0;
            }
        }
        return result;
    }
    static bool has_channels(const Shape& shape) { return shape.size() >= 4; }
    static Tensor channels_last(const Tensor& tensor) {
        if (!has_channels(tensor.shape())) return tensor.clone();
        std::vector<std::size_t> order(tensor.rank());
        std::iota(order.begin(), order.end(), 0);
        std::rotate(order.begin() + 1, order.begin() + 2, order.end());
        return transposed(tensor, order);
    }
    static Tensor channels_second(const Tensor& tensor) {
        if (!has_channels(tensor.shape())) return tensor.clone();
        std::vector<std::size_t> order(tensor.rank());
        std::iota(order.begin(), order.end(), 0);
        std::rotate(order.begin() + 1, order.end() - 1, order.end());
        return transposed(tensor, order);
    }

    class Queue final : public backends::Queue {
      public:
        Queue(std::shared_ptr<backends::Backend> inner, std::shared_ptr<std::atomic<int>> most_waits)
            : inner_(std::move(inner)), most_waits_(std::move(most_waits)), thread_([this] { work(); }) {}
        ~Queue() override {
            drain();
            {
                const std::scoped_lock lock(mutex_);
                ends_ = true;
            }
            changed_.notify_all();
            thread_.join();
        }

        void later(std::function<void()> job) { jobs_.push_back(std::move(job)); }
        Place place_of(const backends::Value& value) const {
            auto place = std::dynamic_pointer_cast<Memory>(value.memory());
            if (place == nullptr) failure("a value is not of this backend");
            if (place->queue != this) failure("a value is of another run");
            return place;
        }
        backends::Value make(DType type, const Shape& shape, Place& place) const {
            place = std::make_shared<Memory>(this);
            return {type, shape, place};
        }
        /// Rows first, then columns, as the host has it; on the queue's thread.
        static Tensor host_order(const Memory& memory) {
            if (!memory.elements.defined()) failure("a value is read before it is made");
            return channels_second(memory.elements);
        }
        const std::unique_ptr<backends::Queue>& inner() const { return inner_queue_; }

        backends::Value from_host(const Tensor& tensor) override {
            Place place;
            auto value = make(tensor.type(), tensor.shape(), place);
            later([place, copy = tensor.clone()] { place->elements = channels_last(copy); });
            return value;
        }
        void read(const backends::Value& value, Tensor into) override {
            std::memset(into.data(), 0xff, into.bytes());  // NaN
            later([place = place_of(value), into]() mutable {
                const Tensor elements = host_order(*place);
                std::memcpy(into.data(), elements.data(), into.bytes());
            });
        }
        Tensor to_host(const backends::Value& value) override {
            Tensor result(value.type(), value.shape());
            read(value, result);
            wait();
            return result;
        }
        void wait() override {
            ++waits_;
            if (waits_ > *most_waits_) *most_waits_ = waits_;
            drain();
            if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        }
        backends::Value copy(const backends::Value& value) override { return value; }  // never overwritten
        backends::Value rows(const backends::Value& value, std::int64_t begin, std::int64_t end) override {
            Shape shape = value.shape();
            shape[0] = end - begin;
            Place place;
            auto result = make(value.type(), shape, place);
            later([place, from = place_of(value), begin, end] {
                place->elements = channels_last(host_order(*from).rows(begin, end));
            });
            return result;
        }
        void combine(backends::Value& target, std::span<const Term> terms) override {
            std::vector<std::pair<Place, float>> places;
            for (const Term& term : terms) places.emplace_back(place_of(*term.value), term.weight);
            Place place;
            target = make(terms.front().value->type(), terms.front().value->shape(), place);
            later([place, places] {
                std::vector<backends::Value> values;
                for (const auto& each : places) values.emplace_back(each.first->elements);
                std::vector<Term> sum;
                for (std::size_t i = 0; i < values.size(); ++i) sum.push_back({&values[i], places[i].second});
                place->elements = Tensor(values[0].type(), values[0].shape());
                backends::host::combine(place->elements, sum);
            });
        }
        double magnitude(const backends::Value& a) override {
            double result = 0;
            later([&, place = place_of(a)] { result = backends::host::magnitude(host_order(*place)); });
            wait();
            return result;
        }
        double difference(const backends::Value& a, const backends::Value& b) override {
            double result = 0;
            later([&, one = place_of(a), other = place_of(b)] {
                result = backends::host::difference(host_order(*one), host_order(*other));
            });
            wait();
            return result;
        }
        bool has_nan(const backends::Value& a) override {
            bool result = false;
            later([&, place = place_of(a)] { result = backends::host::has_nan(host_order(*place)); });
            wait();
            return result;
        }

      private:
        /// Has the thread do what there is.
        void drain() {
            std::unique_lock lock(mutex_);
            begun_ = std::exchange(jobs_, {});
            working_ = true;
            changed_.notify_all();
            changed_.wait(lock, [&] { return !working_; });
        }
        void work() {
            std::unique_lock lock(mutex_);
            while (true) {
                changed_.wait(lock, [&] { return working_ || ends_; });
                if (!working_) return;
                for (auto& job : begun_) {
                    if (error_) break;  // nothing after it can be right
                    try {
                        job();
                    } catch (...) {
                        error_ = std::current_exception();
                    }
                }
                begun_.clear();
                working_ = false;
                changed_.notify_all();
            }
        }

        std::shared_ptr<backends::Backend> inner_;
        std::unique_ptr<backends::Queue> inner_queue_ = inner_->queue({});
        std::shared_ptr<std::atomic<int>> most_waits_;
        int waits_ = 0;
        std::deque<std::function<void()>> jobs_;  ///< not begun
        std::mutex mutex_;
        std::condition_variable changed_;
        std::deque<std::function<void()>> begun_;
        bool working_ = false, ends_ = false;
        std::exception_ptr error_;
        std::thread thread_;
    };

    struct Compiled {
        graph::Graph graph;
        std::unique_ptr<backends::Executable> inner;
    };

    class Request final : public backends::Request {
      public:
        Request(std::shared_ptr<const Compiled> compiled, Queue& queue)
            : compiled_(std::move(compiled)),
              queue_(queue),
              inner_(compiled_->inner->request(*queue.inner())) {}

        void run(std::span<const backends::Value* const> inputs,
                 std::span<backends::Value* const> outputs) override {
            backends::check_run(compiled_->graph, inputs, outputs);
            std::vector<Place> from, to;
            for (const auto* input : inputs) from.push_back(queue_.place_of(*input));
            for (std::size_t i = 0; i < outputs.size(); ++i) {
                const graph::Node& node = compiled_->graph[compiled_->graph.outputs[i].node];
                *outputs[i] = queue_.make(node.type, node.shape, to.emplace_back());
            }
            queue_.later([compiled = compiled_, inner = inner_, from, to] {
                std::vector<backends::Value> values, results(to.size());
                for (const Place& place : from) values.emplace_back(Queue::host_order(*place));
                std::vector<const backends::Value*> inner_inputs;
                std::vector<backends::Value*> inner_outputs;
                for (const auto& value : values) inner_inputs.push_back(&value);
                for (auto& result : results) inner_outputs.push_back(&result);
                inner->run(inner_inputs, inner_outputs);
                for (std::size_t i = 0; i < to.size(); ++i)
                    to[i]->elements = channels_last(results[i].host());
            });
        }

      private:
        std::shared_ptr<const Compiled> compiled_;
        Queue& queue_;
        std::shared_ptr<backends::Request> inner_;
    };

    class Executable final : public backends::Executable {
      public:
        Executable(graph::Graph graph, std::unique_ptr<backends::Executable> inner)
            : compiled_(std::make_shared<const Compiled>(Compiled{std::move(graph), std::move(inner)})) {}
        std::unique_ptr<backends::Request> request(backends::Queue& queue) const override {
            return std::make_unique<Request>(compiled_, dynamic_cast<Queue&>(queue));
        }
        void release_memory() const override { compiled_->inner->release_memory(); }

      private:
        std::shared_ptr<const Compiled> compiled_;
    };

    std::shared_ptr<backends::Backend> inner_ = backends::create("reference");
    std::shared_ptr<std::atomic<int>> most_waits_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace reprise::testing
