#include "cachify/variant.h"

#include <algorithm>

#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::Module;
using graph::Node;

namespace {

void check(const Graph& source, const Variant& variant) {
    const Module& module = source.modules[static_cast<std::size_t>(variant.module)];
    const auto as_read = [&](std::size_t i) {
        const Node& input = variant.body[variant.body.inputs[i]];
        const Node& read = source[variant.reads[i]];
        return input.shape == read.shape && input.type == read.type &&
               !source.is_within(read.module, variant.module) && variant.reads[i] < module.outputs.front();
    };
    const auto as_output = [&](std::size_t i) {
        const Node& output = variant.body[variant.body.outputs[i].node];
        const Node& own = source[module.outputs[i]];
        return output.shape == own.shape && output.type == own.type;
    };
    bool fits = !module.outputs.empty() && module.invocations == 1 &&
                variant.body.inputs.size() == variant.reads.size() &&
                variant.body.outputs.size() == module.outputs.size();
    for (std::size_t i = 0; fits && i < variant.reads.size(); ++i) fits = as_read(i);
    for (std::size_t i = 0; fits && i < module.outputs.size(); ++i) fits = as_output(i);
    if (!fits) failure("planner: a variant of '{}' does not fit in its place", module.name);
}

}  // namespace

void check_variants(const Graph& graph, const Schedule& schedule, std::span<const Variant> variants) {
    for (const Variant& variant : variants) check(graph, variant);
    for (const auto& rule : schedule.variant_rules) {
        const auto count = std::count_if(variants.begin(), variants.end(),
                                         [&](const Variant& known) { return known.module == rule.module; });
        for (const auto& steps : rule.variant)
            for (const int variant : steps)
                if (variant < 0 || variant > count)
                    failure("planner: '{}' has no variant {}",
                            graph.modules[static_cast<std::size_t>(rule.module)].name, variant);
    }
}

}  // namespace reprise::cachify
