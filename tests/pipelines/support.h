#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>

#include "cachify/support.h"
#include "reprise/cachify.h"
#include "reprise/pipeline.h"

namespace reprise::testing {

/// A small random pipeline of tests/fixtures/pipelines.
inline Pipeline open_fixture(const std::string& folder, const std::string& backend = "",
                             DType precision = DType::f32) {
    LoadOptions options;
    options.backend = backend;
    options.precision = precision;
    options.vae_precision = DType::f32;
    return Pipeline::from_pretrained(std::filesystem::path(REPRISE_FIXTURES) / "pipelines" / folder, options);
}

/// The same without reuse, opened once in a process: cases that run it share what it compiles.
inline Pipeline& shared_fixture(const std::string& folder, const std::string& backend = "",
                                DType precision = DType::f32) {
    static std::map<std::tuple<std::string, std::string, DType>, Pipeline> opened;
    auto found = opened.find({folder, backend, precision});
    if (found == opened.end())
        found =
            opened.emplace(std::tuple(folder, backend, precision), open_fixture(folder, backend, precision))
                .first;
    cachify::unprepare(found->second);
    return found->second;
}

/// max|a - b| / max|b|; infinite where a value is no number.
inline double largest_difference(const Tensor& a, const Tensor& b) {
    EXPECT_EQ(a.shape(), b.shape());
    double difference = 0;
    double size = 0;
    for (std::size_t i = 0; i < b.span<float>().size(); ++i) {
        const double own = std::fabs(double{a.span<float>()[i]} - b.span<float>()[i]);
        difference = std::max(difference, std::isfinite(own) ? own : HUGE_VAL);
        size = std::max(size, std::fabs(double{b.span<float>()[i]}));
    }
    return difference / size;
}

}  // namespace reprise::testing
