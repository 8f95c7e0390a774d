#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reprise/module_kind.h"

namespace reprise::graph {

using reprise::ModuleKind;

using NodeId = std::int32_t;
using ModuleId = std::int32_t;

/// A named part of the model. The root has id 0, an empty name and no parent (-1).
struct Module {
    std::string name;  ///< full diffusers path, e.g. "up_blocks.2.resnets.0"
    ModuleKind kind = ModuleKind::other;
    ModuleId parent = -1;
    std::vector<NodeId> inputs;   ///< the streams it transforms; input i corresponds to output i (delta rule)
    std::vector<NodeId> outputs;  ///< its module_output nodes
    int invocations = 0;          ///< a module invoked twice in one pass cannot be reused
};

}  // namespace reprise::graph
