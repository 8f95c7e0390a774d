#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/footprint.h"
#include "backends/queue.h"
#include "backends/traits.h"
#include "graph/graph.h"

namespace reprise::backends {

struct CompileOptions {
    std::string device = "CPU";  ///< a device name of the backend's, e.g. OpenVINO's "CPU", "GPU.0", "NPU"
    int threads = 0;             ///< worker threads of one run; 0: as many as there are cores for the process
    DType precision = DType::f32;  ///< of the arithmetic; the graph is built in it already
};

/// One running instance of an executable, in a queue: its scratch memory. Used by one thread at a time, and
/// not after its queue.
class Request {
  public:
    Request() = default;
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    virtual ~Request() = default;

    /// Runs once, when the queue has come to it. All are in the graph's order and of its types and shapes.
    /// Afterwards each of `outputs` holds its result, in the memory that it has, or in another: so also where
    /// it has none. Memory of the host's is used as it is, without copies, and is 64-byte aligned.
    virtual void run(std::span<const Value* const> inputs, std::span<Value* const> outputs) = 0;
};

/// A compiled graph: immutable, shared between threads.
class Executable {
  public:
    Executable() = default;
    Executable(const Executable&) = delete;
    Executable& operator=(const Executable&) = delete;
    virtual ~Executable() = default;

    /// One that runs in a queue of its backend.
    virtual std::unique_ptr<Request> request(Queue& queue) const = 0;
    /// Frees scratch memory that the engine holds between runs. No request may be running.
    virtual void release_memory() const = 0;
};

/// An engine: graph in, executable out. Knows no model and no policy. Thread-safe.
class Backend {
  public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;

    virtual std::string_view name() const = 0;
    /// Devices that this machine offers to it.
    virtual std::vector<std::string> devices() const = 0;
    /// The precision that `auto` means on the device: bf16 only where it is native, else f32.
    virtual DType preferred_precision(std::string_view device) const = 0;
    /// Error (usage) when the device does not compute natively in the precision, naming what it can.
    virtual void check_precision(std::string_view device, DType precision) const = 0;
    virtual Traits traits(std::string_view device) const = 0;
    /// A queue for one run.
    virtual std::unique_ptr<Queue> queue(const CompileOptions& options) const = 0;
    /// About what the graph takes while it is compiled.
    virtual Footprint footprint(const graph::Graph& graph) const = 0;
    /// The graph's inputs and outputs have the types and shapes of its nodes. Constants are not copied where
    /// their type is already the graph's. Error (usage) for an unknown device.
    virtual std::unique_ptr<Executable> compile(const graph::Graph& graph,
                                                const CompileOptions& options) const = 0;
};

/// The names of the backends of this build, the default first.
std::vector<std::string> available();
/// The backend of that name; the default one for an empty name. Error (usage) naming the ones there are, or
/// saying that the one asked for was not built.
std::shared_ptr<Backend> create(std::string_view name);

}  // namespace reprise::backends
