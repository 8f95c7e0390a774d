#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/module_kind.h"

namespace reprise::graph {

using reprise::ModuleKind;

using NodeId = std::int32_t;
using ModuleId = std::int32_t;

/// A named piece of the model. The root has id 0, an empty name and no parent (-1).
struct Module {
    std::string name;  ///< full diffusers path, e.g. "up_blocks.2.resnets.0"; begins with that of its part
    ModuleKind kind = ModuleKind::other;
    ModuleId parent = -1;
    std::vector<NodeId> inputs;   ///< the streams it transforms; input i corresponds to output i (delta rule)
    std::vector<NodeId> outputs;  ///< its module_output nodes
    int invocations = 0;          ///< a module invoked twice in one pass cannot be reused
    std::string part = {};  ///< the network beside the denoiser's own that it belongs to, "control.0"; or ""

    /// Its name in the checkpoint of its part.
    std::string_view name_in_part() const {
        const std::string_view full = name;
        return part.empty() || full.size() <= part.size() ? full : full.substr(part.size() + 1);
    }
};

}  // namespace reprise::graph
