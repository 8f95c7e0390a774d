#pragma once

#include <memory>
#include <vector>

#include "backends/backend.h"
#include "graph/builder.h"
#include "graph/raw_graph.h"

namespace reprise::test {

/// Values in [-1, 1), the same for the same seed.
Tensor random_tensor(const Shape& shape, unsigned seed);

/// Gives every constant of a graph that was built without weights random values.
void fill_constants(graph::Graph& graph);

/// Random values for every input; i64 inputs get ids below `rows`.
std::vector<Tensor> random_inputs(const graph::Graph& graph, std::int64_t rows);

/// A request in a queue.
class Runner {
  public:
    /// One of its own.
    Runner(const backends::Backend& backend, const backends::Executable& executable)
        : own_(backend.queue({})), queue_(own_.get()), request_(executable.request(*queue_)) {}
    Runner(backends::Queue& queue, const backends::Executable& executable)
        : queue_(&queue), request_(executable.request(queue)) {}

    /// Runs over values; where `outputs` has values, there is memory for the results.
    void run(const std::vector<backends::Value>& inputs, std::vector<backends::Value>& outputs);
    /// Runs over tensors, and waits.
    std::vector<Tensor> operator()(const std::vector<Tensor>& inputs, std::size_t num_outputs);
    backends::Queue& queue() { return *queue_; }

  private:
    std::unique_ptr<backends::Queue> own_;
    backends::Queue* queue_;
    std::unique_ptr<backends::Request> request_;
};

/// The backends of this build, and "elsewhere", which is the tests' alone.
std::vector<std::string> all_backends();

/// Compiles and runs once.
std::vector<Tensor> run(const backends::Backend& backend, const graph::Graph& graph,
                        const std::vector<Tensor>& inputs, DType precision);

/// max|a - b| / max|b| of tensors of equal shape; infinite where one has a NaN.
double relative_error(const Tensor& a, const Tensor& b);

/// A backend of that name.
std::shared_ptr<backends::Backend> make_backend(const std::string& name);
/// The one of that name, made once per test program.
std::shared_ptr<backends::Backend> backend_named(const std::string& name);

/// True when the backend takes the precision on its CPU.
bool computes_in(const backends::Backend& backend, DType precision);

/// True for graphs that a limit set by ONEDNN_MAX_CPU_ISA makes OpenVINO 2026.4 crash on: its MVN kernel
/// stays with AVX-512, which the code for rows that are no multiple of 16 long does not expect. A CPU
/// without AVX-512 does not have this.
bool trips_on_isa_limit(const graph::Graph& graph);

}  // namespace reprise::test
