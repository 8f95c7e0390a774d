#include "backends/working_memory.h"

#include <algorithm>

namespace reprise::backends {

double working_bytes(const graph::Graph& graph) {
    double largest = 0;
    for (const auto& node : graph.nodes) {
        double bytes =
            static_cast<double>(element_count(node.shape)) * static_cast<double>(size_of(node.type));
        for (const graph::NodeId id : node.inputs)
            bytes += static_cast<double>(element_count(graph[id].shape)) *
                     static_cast<double>(size_of(graph[id].type));
        largest = std::max(largest, bytes);
    }
    return 2 * largest;
}

}  // namespace reprise::backends
