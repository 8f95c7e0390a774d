#pragma once

#include <memory>
#include <optional>

#include "backends/backend.h"

namespace reprise::backends {

/// Where and how something is compiled.
struct Engine {
    std::shared_ptr<Backend> backend;
    CompileOptions options;

    Traits traits() const { return backend->traits(options.device); }
    std::unique_ptr<Queue> queue() const { return backend->queue(options); }
};

/// The engine in a precision; none: the one that its device prefers.
inline Engine in_precision(Engine engine, std::optional<DType> precision) {
    engine.options.precision =
        precision ? *precision : engine.backend->preferred_precision(engine.options.device);
    return engine;
}

}  // namespace reprise::backends
