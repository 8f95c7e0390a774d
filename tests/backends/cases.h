#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "graph/builder.h"

namespace reprise::test {

/// A graph in which one operation, or one duty of a backend, is at stake.
struct Case {
    std::string name;
    std::function<graph::Graph(DType precision)> build;  ///< constants have no values yet
    double f32_tolerance = 1e-5;   ///< max|a - b| / max|b| against the reference backend
    double bf16_tolerance = 2e-2;  ///< likewise; neighbouring bf16 numbers differ by up to 0.8e-2

    friend void PrintTo(const Case& entry, std::ostream* out) { *out << entry.name; }
};

/// The table: operation by operation (cases.cpp) and what a graph may look like (graph_cases.cpp).
std::vector<Case> operation_cases();
std::vector<Case> graph_cases();

/// Rows of the tables that `gather` cases read.
inline constexpr std::int64_t kRows = 11;

/// A case whose graph the function describes with a builder.
template <class Describe>
Case described(std::string name, Describe describe) {
    return {std::move(name), [describe](DType precision) {
                graph::Builder b("case", precision, nullptr);
                describe(b);
                return b.finish();
            }};
}

}  // namespace reprise::test
