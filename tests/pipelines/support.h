#pragma once

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

}  // namespace reprise::testing
