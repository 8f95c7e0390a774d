#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "cachify/support.h"
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
