#include "pipelines/working_memory.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace reprise::pipelines {

double available_bytes() {
    std::ifstream file("/proc/meminfo");
    std::string key;
    double kilobytes = 0;
    for (std::string unit; file >> key >> kilobytes; std::getline(file, unit))
        if (key == "MemAvailable:") return kilobytes * 1024;
    return 0;
}

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

}  // namespace reprise::pipelines
