#pragma once

#include <random>
#include <vector>

#include "cachify/schedule.h"
#include "cachify/variant.h"
#include "graph/builder.h"

namespace reprise::cachify::testing {

/// A random graph of nested modules with several outputs, values that pass straight through, and inputs that
/// vary ("x", "t") or stay ("text") between evaluations. All values have one small shape.
graph::Graph random_model(std::mt19937& random);
/// Values for its inputs, in their order.
std::vector<Tensor> random_inputs(std::mt19937& random);

/// A random schedule on it that never reuses what has not run.
Schedule random_schedule(std::mt19937& random, const graph::Graph& graph, int num_steps, int num_branches,
                         Count count);

/// Other sub-graphs for some of the modules, and rules that say where they run.
std::vector<Variant> add_random_variants(std::mt19937& random, const graph::Graph& graph, Schedule& schedule);

/// Makes some of its rules hold in some of 2 or 3 modes only, with or without a decision that looks at a
/// module.
void add_random_modes(std::mt19937& random, const graph::Graph& graph, Schedule& schedule);

}  // namespace reprise::cachify::testing
